#ifndef HYPHA_CSODIUM_SHIM_H
#define HYPHA_CSODIUM_SHIM_H

#include <sodium.h>

#endif
