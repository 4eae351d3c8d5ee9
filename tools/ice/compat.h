/*
 * Lets IcePy 3.6 be compiled, unpatched, against Python 3.11 and later:
 * g++ -include compat.h.
 *
 * IcePy asks one question that Python no longer answers: the running Python
 * frame, as PyThreadState_GET()->frame (Util.cpp, for the text of an error).
 * The thread state hides its frames since 3.11; PyEval_GetFrame() tells.
 *
 * Python 3.13 dropped two functions of old.  Both are one call of a newer one.
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

#if PY_VERSION_HEX >= 0x030D0000
#define PyEval_CallObject(callable, arguments) PyObject_CallObject(callable, arguments)

/* As it was: the bytes stay where they are while the caller has a reference to `object`.  IcePy
 * asks for those of `bytes` and of `array`, neither of which it lets change meanwhile. */
static inline int
PyObject_AsReadBuffer(PyObject* object, const void** bytes, Py_ssize_t* size)
{
    Py_buffer view;
    if(PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) != 0)
    {
        return -1;
    }
    *bytes = view.buf;
    *size = view.len;
    PyBuffer_Release(&view);
    return 0;
}
#endif

#endif
#endif
