/* Truths: no two objects overlap, all are aligned, and after everything was given back the whole
 * block can be taken in one piece again. */
#include "ae_heap.h"

#include "ae_common.h"
#include "ae_math.h"
#include "ae_test.h"

#include <string.h>

enum { k_bytes = 1 << 16, k_objects = 64 };

static _Alignas(64) unsigned char memory[k_bytes];

/* The biggest object that can be taken now. */
static size_t largest(ae_heap *heap)
{
    size_t low = 0, high = k_bytes;
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        void *taken = ae_heap_take(heap, middle);
        if (taken == NULL)
            high = middle;
        else
            low = middle;
        ae_heap_give(heap, taken);
    }
    return low;
}

static void test_limits(void)
{
    CHECK(ae_heap_create(memory, 64) == NULL);
    CHECK(ae_heap_create(memory + 1, k_bytes - 1) == NULL);
    CHECK(ae_heap_create(NULL, k_bytes) == NULL);
    ae_heap *heap = ae_heap_create(memory, k_bytes);
    CHECK((void *)heap == (void *)memory);
    CHECK(ae_heap_take(heap, k_bytes) == NULL);
    CHECK(ae_heap_take(heap, (size_t)-1) == NULL);
    ae_heap_give(heap, NULL);
    CHECK(largest(heap) >= k_bytes - 256);
}

/* Take and give in random order; each object is filled with its number and must keep it. */
static void test_random_order(void)
{
    ae_heap *heap = ae_heap_create(memory, k_bytes);
    const size_t empty = ae_heap_used_bytes(heap), whole = largest(heap);
    unsigned char *objects[k_objects] = {0};
    size_t bytes[k_objects] = {0};
    uint32_t state = 7;
    int refused = 0;
    for (int turn = 0; turn < 20000; turn++) {
        const int i = (int)(fabsf(ae_random(&state)) * (k_objects - 1));
        if (objects[i] != NULL) {
            for (size_t n = 0; n < bytes[i]; n++) CHECK(objects[i][n] == i);
            ae_heap_give(heap, objects[i]);
            objects[i] = NULL;
            continue;
        }
        bytes[i] = (size_t)(fabsf(ae_random(&state)) * 3000.0f);
        objects[i] = ae_heap_take(heap, bytes[i]);
        refused += objects[i] == NULL;
        if (objects[i] == NULL) continue;
        CHECK((uintptr_t)objects[i] % 64 == 0);
        CHECK(objects[i] > memory && objects[i] + bytes[i] <= memory + k_bytes);
        memset(objects[i], i, bytes[i]);
    }
    CHECK(refused > 0); /* it was full at times */
    for (int i = 0; i < k_objects; i++) ae_heap_give(heap, objects[i]);
    CHECK(ae_heap_used_bytes(heap) == empty);
    CHECK(largest(heap) == whole);
}

/* Objects of the common allocator: zeroed, and back where they came from. */
static void test_objects_in_a_heap(void)
{
    ae_heap *heap = ae_heap_create(memory, k_bytes);
    const size_t empty = ae_heap_used_bytes(heap);
    void *dirty = ae_heap_take(heap, 1000);
    memset(dirty, 255, 1000);
    ae_heap_give(heap, dirty);
    ae_allocate_from(heap);
    unsigned char *inside = ae_allocate(1000);
    CHECK(ae_allocate(k_bytes) == NULL);
    ae_allocate_from(NULL);
    unsigned char *outside = ae_allocate(1000);
    CHECK(inside > memory && inside < memory + k_bytes);
    CHECK(outside != NULL && (outside < memory || outside >= memory + k_bytes));
    for (int n = 0; n < 1000; n++) CHECK(inside[n] == 0);
    ae_free(outside);
    ae_free(inside);
    CHECK(ae_heap_used_bytes(heap) == empty);
}

int main(void)
{
    test_limits();
    test_random_order();
    test_objects_in_a_heap();
    return AE_TEST_RESULT();
}
