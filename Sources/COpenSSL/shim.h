#ifndef HYPHA_COPENSSL_SHIM_H
#define HYPHA_COPENSSL_SHIM_H

#include <openssl/evp.h>

#endif
