#include "ae_heap.h"

#include <stdint.h>

enum { k_alignment = 64 };

typedef struct ae_heap_block {
    struct ae_heap_block *next; /* by address; NULL: the last one */
    size_t bytes;               /* of the memory behind this header */
    int taken;
    unsigned char padding[k_alignment - 2 * sizeof(void *) - sizeof(int)];
} ae_heap_block;

_Static_assert(sizeof(ae_heap_block) == k_alignment, "memory behind a header must be aligned");

struct ae_heap {
    size_t used_bytes;
    unsigned char padding[k_alignment - sizeof(size_t)];
    ae_heap_block first; /* the list starts right behind the heap's own line */
};

ae_heap *ae_heap_create(void *memory, size_t bytes)
{
    bytes = bytes / k_alignment * k_alignment;
    if (memory == NULL || (uintptr_t)memory % k_alignment != 0 ||
        bytes < sizeof(ae_heap) + k_alignment) {
        return NULL;
    }
    ae_heap *self = memory;
    self->first = (ae_heap_block){.bytes = bytes - sizeof(ae_heap)};
    self->used_bytes = sizeof(ae_heap);
    return self;
}

size_t ae_heap_used_bytes(const ae_heap *self) { return self->used_bytes; }

/* Leave `bytes` to the block; what is over becomes a free block behind it. */
static void split(ae_heap_block *block, size_t bytes)
{
    if (block->bytes - bytes < 2 * sizeof(ae_heap_block)) return;
    ae_heap_block *rest = (ae_heap_block *)((unsigned char *)(block + 1) + bytes);
    *rest = (ae_heap_block){
        .next = block->next,
        .bytes = block->bytes - bytes - sizeof(ae_heap_block),
    };
    block->next = rest;
    block->bytes = bytes;
}

void *ae_heap_take(ae_heap *self, size_t bytes)
{
    if (bytes > SIZE_MAX - k_alignment) return NULL;
    bytes = (bytes + k_alignment - 1) / k_alignment * k_alignment;
    for (ae_heap_block *block = &self->first; block != NULL; block = block->next) {
        if (block->taken || block->bytes < bytes) continue;
        split(block, bytes);
        block->taken = 1;
        self->used_bytes += block->bytes + sizeof(ae_heap_block);
        return block + 1;
    }
    return NULL;
}

static void join_free_neighbours(ae_heap *self)
{
    ae_heap_block *block = &self->first;
    while (block->next != NULL) {
        if (block->taken || block->next->taken) {
            block = block->next;
            continue;
        }
        block->bytes += sizeof(ae_heap_block) + block->next->bytes;
        block->next = block->next->next;
    }
}

void ae_heap_give(ae_heap *self, void *memory)
{
    if (memory == NULL) return;
    ae_heap_block *block = (ae_heap_block *)memory - 1;
    block->taken = 0;
    self->used_bytes -= block->bytes + sizeof(ae_heap_block);
    join_free_neighbours(self);
}
