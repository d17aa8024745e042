/* ae_host.h - what a process that runs an audio device asks of the operating system.
 *
 * Shared memory at a fixed address (so that pointers in it mean the same in every process), memory
 * that stays in RAM, a real-time priority, an end together with the parent, and the time.
 * Linux; elsewhere the calls fail cleanly, and without ae_host_map there is no live engine.
 * Thread: control, but ae_host_now_s and ae_host_raise_priority are for the audio thread: a clock
 * read, and one system call on a thread's first block. */
#ifndef AE_HOST_H
#define AE_HOST_H

#include <stddef.h>
#include <stdint.h>

/* ffi:begin */
/* Map `bytes` of the file at `address` (page aligned), present at once; NULL if that place is
 * taken. */
void *ae_host_map(int file_descriptor, size_t bytes, uintptr_t address);
void ae_host_unmap(void *memory, size_t bytes);
/* Keep the whole process in RAM if we may, else the given block. 2: the process, 1: the block, 0:
 * neither. */
int ae_host_lock_memory(void *memory, size_t bytes);
/* Die with the thread that started this process, and when a real-time thread runs for 200 ms
 * without a pause. (A PortAudio thread whose device is gone does pause: that needs the parent's
 * watchdog.) */
void ae_host_tie_to_parent(void);
/* Seconds of the monotonic clock. */
double ae_host_now_s(void);
/* ffi:end */

/* Put the calling thread under SCHED_FIFO. Returns its real-time priority: that it had already, the
 * one it got, or 0 when it may not. */
int ae_host_raise_priority(void);

#endif
