/*
 * Lets IcePy 3.6 be compiled, unpatched, against Python 3.11 and later:
 * g++ -include compat.h.
 *
 * IcePy asks one question that Python no longer answers: the running Python
 * frame, as PyThreadState_GET()->frame (Util.cpp, for the text of an error).
 * The thread state hides its frames since 3.11; PyEval_GetFrame() tells.
 */
#ifndef OMERO_FS_ICEPY_COMPAT_H
#define OMERO_FS_ICEPY_COMPAT_H

#ifdef __cplusplus
#include <Python.h>

#if PY_VERSION_HEX >= 0x030B0000
struct IcePyThreadState
{
    PyFrameObject* frame; /* borrowed, as PyThreadState's was */

    IcePyThreadState() : frame(PyEval_GetFrame()) {}
    IcePyThreadState* operator->() { return this; }
};

#undef PyThreadState_GET
#define PyThreadState_GET() IcePyThreadState()
#endif

#endif
#endif
