#include "ae_ring.h"

#include <stdatomic.h>
#include <string.h>

enum {
    k_cache_line_bytes = 64,
    k_max_element_bytes = 65536,
    k_max_ring_bytes = 1 << 30,
    k_max_triple_bytes = 1 << 20,
};

struct ae_ring {
    /* Read by both sides, written by none. */
    _Alignas(k_cache_line_bytes) unsigned char *elements;
    uint32_t element_bytes;
    uint32_t capacity; /* a power of two */
    /* The producer's line. */
    _Alignas(k_cache_line_bytes)
        atomic_uint_least32_t written; /* elements ever written, mod 2^32 */
    uint32_t read_seen;                /* `read` as last loaded */
    /* The consumer's line. */
    _Alignas(k_cache_line_bytes) atomic_uint_least32_t read;
    uint32_t written_seen;
};

ae_status ae_ring_create(ae_ring **out, int element_bytes, int capacity)
{
    *out = NULL;
    if (element_bytes < 1 || element_bytes > k_max_element_bytes || capacity < 1 ||
        capacity > k_max_ring_bytes / element_bytes)
        return AE_ERROR_ARGUMENT;
    int rounded = 1;
    while (rounded < capacity) rounded *= 2;

    ae_arena arena = {0};
    (void)AE_TAKE(&arena, 1, ae_ring);
    (void)ae_arena_take(&arena, rounded, (size_t)element_bytes);
    arena = (ae_arena){ae_allocate(arena.used), 0};
    if (arena.base == NULL) return AE_ERROR_MEMORY;

    ae_ring *self = AE_TAKE(&arena, 1, ae_ring);
    self->elements = ae_arena_take(&arena, rounded, (size_t)element_bytes);
    self->element_bytes = (uint32_t)element_bytes;
    self->capacity = (uint32_t)rounded;
    ae_ring_reset(self);
    *out = self;
    return AE_OK;
}

void ae_ring_destroy(ae_ring *self) { ae_free(self); }

void ae_ring_reset(ae_ring *self)
{
    atomic_init(&self->written, 0);
    atomic_init(&self->read, 0);
    self->read_seen = 0;
    self->written_seen = 0;
}

int ae_ring_capacity(const ae_ring *self) { return (int)self->capacity; }

/* Where element number `index` lies, and in `run` how many follow it before the wrap. */
static unsigned char *element_at(const ae_ring *self, uint32_t index, uint32_t *run)
{
    const uint32_t slot = index & (self->capacity - 1);
    *run = self->capacity - slot;
    return self->elements + (size_t)slot * self->element_bytes;
}

int ae_ring_write(ae_ring *self, const void *elements, int count)
{
    if (count <= 0) return 0;
    const uint32_t wanted = (uint32_t)count;
    const uint32_t written = atomic_load_explicit(&self->written, memory_order_relaxed);
    uint32_t room = self->capacity - (written - self->read_seen);
    if (room < wanted) {
        self->read_seen = atomic_load_explicit(&self->read, memory_order_acquire);
        room = self->capacity - (written - self->read_seen);
    }
    const uint32_t taken = wanted < room ? wanted : room;

    uint32_t run;
    unsigned char *to = element_at(self, written, &run);
    const uint32_t first = taken < run ? taken : run;
    const size_t first_bytes = (size_t)first * self->element_bytes;
    memcpy(to, elements, first_bytes);
    memcpy(self->elements, (const unsigned char *)elements + first_bytes,
           (size_t)(taken - first) * self->element_bytes);
    atomic_store_explicit(&self->written, written + taken, memory_order_release);
    return (int)taken;
}

int ae_ring_read(ae_ring *self, void *elements, int count)
{
    if (count <= 0) return 0;
    const uint32_t wanted = (uint32_t)count;
    const uint32_t read = atomic_load_explicit(&self->read, memory_order_relaxed);
    uint32_t waiting = self->written_seen - read;
    if (waiting < wanted) {
        self->written_seen = atomic_load_explicit(&self->written, memory_order_acquire);
        waiting = self->written_seen - read;
    }
    const uint32_t given = wanted < waiting ? wanted : waiting;

    uint32_t run;
    const unsigned char *from = element_at(self, read, &run);
    const uint32_t first = given < run ? given : run;
    const size_t first_bytes = (size_t)first * self->element_bytes;
    memcpy(elements, from, first_bytes);
    memcpy((unsigned char *)elements + first_bytes, self->elements,
           (size_t)(given - first) * self->element_bytes);
    atomic_store_explicit(&self->read, read + given, memory_order_release);
    return (int)given;
}

int ae_ring_fill(const ae_ring *self)
{
    /* `read` first: it can only grow towards `written`, so the difference is never negative. A
     * third thread may be suspended in between; hence the clamp. */
    const uint32_t read = atomic_load_explicit(&self->read, memory_order_acquire);
    const uint32_t written = atomic_load_explicit(&self->written, memory_order_acquire);
    const uint32_t fill = written - read;
    return (int)(fill < self->capacity ? fill : self->capacity);
}

/* Who has which slot, in one word, so that no kill can leave it in between: two bits each for the
 * writer's, the one between owners and the reader's, and whether the reader has not seen the one
 * between yet. */
enum { k_slots = 3, k_slot_mask = 3, k_between_shift = 2, k_reader_shift = 4, k_fresh = 64 };

struct ae_triple {
    _Alignas(k_cache_line_bytes) unsigned char *slots[k_slots];
    size_t bytes;
    _Alignas(k_cache_line_bytes) atomic_uint owners;
};

static unsigned int owners_of(unsigned int writer, unsigned int between, unsigned int reader)
{
    return writer | between << k_between_shift | reader << k_reader_shift;
}

static unsigned int slot_of(unsigned int owners, int shift)
{
    return owners >> shift & k_slot_mask;
}

ae_status ae_triple_create(ae_triple **out, int bytes)
{
    *out = NULL;
    if (bytes < 1 || bytes > k_max_triple_bytes) return AE_ERROR_ARGUMENT;
    ae_arena arena = {0};
    (void)AE_TAKE(&arena, 1, ae_triple);
    for (int i = 0; i < k_slots; i++) (void)AE_TAKE(&arena, bytes, unsigned char);
    arena = (ae_arena){ae_allocate(arena.used), 0};
    if (arena.base == NULL) return AE_ERROR_MEMORY;

    ae_triple *self = AE_TAKE(&arena, 1, ae_triple);
    for (int i = 0; i < k_slots; i++) self->slots[i] = AE_TAKE(&arena, bytes, unsigned char);
    self->bytes = (size_t)bytes;
    ae_triple_reset(self);
    *out = self;
    return AE_OK;
}

void ae_triple_destroy(ae_triple *self) { ae_free(self); }

void ae_triple_reset(ae_triple *self)
{
    for (int i = 0; i < k_slots; i++) memset(self->slots[i], 0, self->bytes);
    atomic_init(&self->owners, owners_of(0, 2, 1));
}

void ae_triple_write(ae_triple *self, const void *value)
{
    unsigned int owners = atomic_load_explicit(&self->owners, memory_order_relaxed), next;
    memcpy(self->slots[slot_of(owners, 0)], value, self->bytes);
    /* Release publishes the value; acquire makes the reader's last copy out of the slot we get end
     * before our next write into it. Fails at most once: the reader moves only when there is news.
     */
    do {
        next = owners_of(slot_of(owners, k_between_shift), slot_of(owners, 0),
                         slot_of(owners, k_reader_shift)) |
               k_fresh;
    } while (!atomic_compare_exchange_strong_explicit(&self->owners, &owners, next,
                                                      memory_order_acq_rel, memory_order_relaxed));
}

int ae_triple_read(ae_triple *self, void *value)
{
    unsigned int owners = atomic_load_explicit(&self->owners, memory_order_relaxed), next;
    int fresh = 0;
    while (owners & k_fresh && !fresh) {
        next = owners_of(slot_of(owners, 0), slot_of(owners, k_reader_shift),
                         slot_of(owners, k_between_shift));
        fresh = atomic_compare_exchange_strong_explicit(&self->owners, &owners, next,
                                                        memory_order_acq_rel, memory_order_relaxed);
        if (fresh) owners = next;
    }
    memcpy(value, self->slots[slot_of(owners, k_reader_shift)], self->bytes);
    return fresh;
}

struct ae_token {
    _Alignas(k_cache_line_bytes) atomic_uint is_taken;
};

ae_status ae_token_create(ae_token **out)
{
    *out = ae_allocate(sizeof(ae_token));
    if (*out == NULL) return AE_ERROR_MEMORY;
    atomic_init(&(*out)->is_taken, 0u);
    return AE_OK;
}

void ae_token_destroy(ae_token *self) { ae_free(self); }

int ae_token_take(ae_token *self)
{
    return atomic_exchange_explicit(&self->is_taken, 1u, memory_order_acquire) == 0u;
}

void ae_token_give(ae_token *self)
{
    atomic_store_explicit(&self->is_taken, 0u, memory_order_release);
}
