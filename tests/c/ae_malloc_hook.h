/* ae_malloc_hook.h - counts what a thread asks of the C library's allocator, where that can be had
 * (not under sanitizers, which bring their own). For one test program each: it defines malloc. */
#ifndef AE_MALLOC_HOOK_H
#define AE_MALLOC_HOOK_H

#include <stddef.h>
#include <stdlib.h>

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define HOOKED 1
static _Thread_local long library_allocations;
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);
void *malloc(size_t bytes) { return library_allocations++, __libc_malloc(bytes); }
void *calloc(size_t count, size_t bytes)
{
    return library_allocations++, __libc_calloc(count, bytes);
}
void *realloc(void *memory, size_t bytes)
{
    return library_allocations++, __libc_realloc(memory, bytes);
}
void *aligned_alloc(size_t alignment, size_t bytes)
{
    return library_allocations++, __libc_memalign(alignment, bytes);
}
#else
#define HOOKED 0
static long library_allocations;
#endif

#endif
