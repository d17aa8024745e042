/* Truths: two mappings of one file show the same bytes, a taken address is refused, time passes. */
#define _GNU_SOURCE
#include "ae_host.h"

#include "ae_test.h"

#include <string.h>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>

enum { k_bytes = 1 << 16 };

static void test_mapping(void)
{
    const int file = memfd_create("test", MFD_CLOEXEC);
    CHECK(file >= 0 && ftruncate(file, k_bytes) == 0);
    /* An address that is free for certain: one that was just given back. */
    void *probe = mmap(NULL, 2 * k_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(probe != MAP_FAILED && munmap(probe, 2 * k_bytes) == 0);
    const uintptr_t address = (uintptr_t)probe;
    char *memory = ae_host_map(file, k_bytes, address);
    CHECK((uintptr_t)memory == address);
    CHECK(ae_host_map(file, k_bytes, address) == NULL);
    char *again = ae_host_map(file, k_bytes, address + k_bytes);
    CHECK(again != NULL);
    if (memory != NULL && again != NULL) {
        strcpy(memory, "seen by both");
        CHECK(strcmp(again, "seen by both") == 0);
        CHECK(ae_host_lock_memory(memory, k_bytes) >= 0);
        ae_host_unmap(memory, k_bytes);
        ae_host_unmap(again, k_bytes);
    }
    close(file);
}
#else
static void test_mapping(void) {}
#endif

int main(void)
{
    test_mapping();
    const double start = ae_host_now_s();
    CHECK(start > 0.0);
    CHECK(ae_host_now_s() >= start);
    CHECK(ae_host_raise_priority() >= 0);
    return AE_TEST_RESULT();
}
