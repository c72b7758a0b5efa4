#ifndef HYPHA_CZLIB_SHIM_H
#define HYPHA_CZLIB_SHIM_H

#include <zlib.h>

/* inflateInit2 is a macro over a call that takes the library's version; Swift sees only functions. */
static inline int hypha_inflate_init(z_stream *stream, int window_bits) { return inflateInit2(stream, window_bits); }

#endif
