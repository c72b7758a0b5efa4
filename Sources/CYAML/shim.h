#ifndef HYPHA_CYAML_SHIM_H
#define HYPHA_CYAML_SHIM_H

#include <yaml.h>

#endif
