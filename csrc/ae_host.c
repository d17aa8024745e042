#define _GNU_SOURCE /* MAP_FIXED_NOREPLACE, mlockall */
#include "ae_host.h"

#include <time.h>

double ae_host_now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    k_priority = 20, /* above ordinary work, below JACK (55) and interrupt threads (50) */
    /* A callback blocks every few ms; 200 ms without a pause is a bug, and the limit that rtkit
     * demands. */
    k_longest_run_us = 200000,
};

void *ae_host_map(int file_descriptor, size_t bytes, uintptr_t address)
{
    void *memory = mmap((void *)address, bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, file_descriptor, 0);
    if (memory == MAP_FAILED) return NULL;
    if ((uintptr_t)memory == address) return memory;
    munmap(memory, bytes); /* a kernel before 4.17 takes the address for a wish */
    return NULL;
}

void ae_host_unmap(void *memory, size_t bytes) { munmap(memory, bytes); }

int ae_host_lock_memory(void *memory, size_t bytes)
{
    /* Pages in use, and others when they come into use: the libraries of a Python process are 100
     * MB that nobody needs. Under a limit, locking what is still to come would make later
     * allocations fail. */
    struct rlimit limit;
    const int unlimited = geteuid() == 0 || (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
                                             limit.rlim_cur == RLIM_INFINITY);
    const int what = MCL_CURRENT | MCL_ONFAULT | (unlimited ? MCL_FUTURE : 0);
    const int whole = mlockall(what) == 0, block = mlock(memory, bytes) == 0;
    return whole && block ? 2 : block;
}

void ae_host_tie_to_parent(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const struct rlimit limit = {k_longest_run_us, k_longest_run_us};
    setrlimit(RLIMIT_RTTIME, &limit);
}

int ae_host_raise_priority(void)
{
    int policy;
    struct sched_param parameter;
    if (pthread_getschedparam(pthread_self(), &policy, &parameter) != 0) return 0;
    if (policy != SCHED_OTHER) return parameter.sched_priority;
    parameter.sched_priority = k_priority;
    return pthread_setschedparam(pthread_self(), SCHED_FIFO, &parameter) == 0 ? k_priority : 0;
}
#else
void *ae_host_map(int file_descriptor, size_t bytes, uintptr_t address)
{
    (void)file_descriptor, (void)bytes, (void)address;
    return NULL;
}

void ae_host_unmap(void *memory, size_t bytes) { (void)memory, (void)bytes; }

int ae_host_lock_memory(void *memory, size_t bytes)
{
    (void)memory, (void)bytes;
    return 0;
}

void ae_host_tie_to_parent(void) {}

int ae_host_raise_priority(void) { return 0; }
#endif
