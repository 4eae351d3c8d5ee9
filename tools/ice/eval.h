/* IcePy's Slice.cpp includes <eval.h>, which Python dropped in 3.11; <Python.h> declares the same. */
#include <Python.h>
