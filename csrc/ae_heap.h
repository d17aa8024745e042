/* ae_heap.h - a small allocator inside a block of memory that the caller owns.
 *
 * The live engine's objects lie in memory that several processes map at the same address, so that
 * they outlive the process which runs the audio device. This is their allocator: first fit over a
 * list of blocks in address order; neighbours that are free are joined (Knuth, TAOCP 1, 2.5). A
 * live engine makes some hundred objects, so walking the list is cheap.
 *
 * Everything, the heap's own state too, lies in the block; nothing outside it is pointed to.
 * Thread: control only, one at a time. Overhead: 64 bytes an object. */
#ifndef AE_HEAP_H
#define AE_HEAP_H

#include <stddef.h>

/* ffi:begin */
typedef struct ae_heap ae_heap;
/* `memory` is 64-byte aligned; NULL when `bytes` is too small to hold anything. */
ae_heap *ae_heap_create(void *memory, size_t bytes);
/* Bytes in use, with overhead. */
size_t ae_heap_used_bytes(const ae_heap *self);
/* ffi:end */

/* 64-byte aligned memory of any content, or NULL. */
void *ae_heap_take(ae_heap *self, size_t bytes);
void ae_heap_give(ae_heap *self, void *memory); /* NULL is fine */

#endif
