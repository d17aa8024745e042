/* Truths: first in, first out across every wrap; two threads (run under the thread sanitizer):
 * the sequence arrives whole, a snapshot is never torn or older than the one before, a token has
 * one owner. */
#include "ae_common.h"
#include "ae_ring.h"
#include "ae_test.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

static void test_create_checks_every_field(void)
{
    ae_ring *ring = (ae_ring *)&ring;
    CHECK(ae_ring_create(&ring, 0, 4) == AE_ERROR_ARGUMENT && ring == NULL);
    CHECK(ae_ring_create(&ring, 65537, 4) == AE_ERROR_ARGUMENT);
    CHECK(ae_ring_create(&ring, 4, 0) == AE_ERROR_ARGUMENT);
    CHECK(ae_ring_create(&ring, 65536, 1 << 15) == AE_ERROR_ARGUMENT && ring == NULL);
    ae_triple *triple = (ae_triple *)&triple;
    CHECK(ae_triple_create(&triple, 0) == AE_ERROR_ARGUMENT && triple == NULL);
    CHECK(ae_triple_create(&triple, (1 << 20) + 1) == AE_ERROR_ARGUMENT);
    ae_ring_destroy(NULL);
    ae_triple_destroy(NULL);
}

/* Every start position, every batch size, elements of an odd size. */
static void test_ring_keeps_order_over_every_wrap(void)
{
    typedef struct {
        unsigned char bytes[3];
    } element;
    enum { k_capacity = 8 };
    ae_ring *ring;
    CHECK(ae_ring_create(&ring, sizeof(element), 5) == AE_OK);
    CHECK(ae_ring_capacity(ring) == k_capacity);
    const uint64_t allocations = ae_allocation_count();
    unsigned char next_in = 0, next_out = 0;
    for (int round = 0; round < 2000; round++) {
        element batch[12];
        const int count = round * 7 % 12;
        for (int i = 0; i < count; i++)
            for (int k = 0; k < 3; k++)
                batch[i].bytes[k] = (unsigned char)((next_in + i) * (k + 1));
        const int fill = ae_ring_fill(ring);
        const int written = ae_ring_write(ring, batch, count);
        CHECK(written == (count < k_capacity - fill ? count : k_capacity - fill));
        CHECK(ae_ring_fill(ring) == fill + written);
        next_in = (unsigned char)(next_in + written);
        memset(batch, 0xee, sizeof(batch));
        const int wanted = round * 5 % 11;
        const int got = ae_ring_read(ring, batch, wanted);
        CHECK(got == (wanted < fill + written ? wanted : fill + written));
        for (int i = 0; i < got; i++)
            for (int k = 0; k < 3; k++)
                CHECK(batch[i].bytes[k] == (unsigned char)((next_out + i) * (k + 1)));
        CHECK(got == 12 || batch[got].bytes[0] == 0xee); /* nothing behind it was touched */
        next_out = (unsigned char)(next_out + got);
    }
    CHECK(ae_ring_write(ring, NULL, 0) == 0 && ae_ring_write(ring, NULL, -1) == 0);
    CHECK(ae_ring_read(ring, NULL, 0) == 0 && ae_ring_read(ring, NULL, -1) == 0);
    ae_ring_reset(ring);
    CHECK(ae_ring_fill(ring) == 0 && ae_ring_read(ring, &next_in, 1) == 0);
    CHECK(ae_allocation_count() == allocations);
    ae_ring_destroy(ring);
}

enum { k_sequence = 1500000 };

static void *produce(void *argument)
{
    ae_ring *ring = argument;
    uint32_t batch[64];
    for (uint32_t sent = 0; sent < k_sequence;) {
        int count = (int)(sent * 2654435761u >> 26) + 1; /* 1 .. 64, irregular */
        if ((uint32_t)count > k_sequence - sent) count = (int)(k_sequence - sent);
        for (int i = 0; i < count; i++) batch[i] = sent + (uint32_t)i;
        const int written = ae_ring_write(ring, batch, count);
        if (written == 0) sched_yield();
        sent += (uint32_t)written;
    }
    return NULL;
}

static void test_ring_between_two_threads(void)
{
    ae_ring *ring;
    CHECK(ae_ring_create(&ring, sizeof(uint32_t), 256) == AE_OK);
    pthread_t producer;
    CHECK(pthread_create(&producer, NULL, produce, ring) == 0);
    uint32_t batch[48], expected = 0;
    int wrong = 0;
    while (expected < k_sequence) {
        const int got = ae_ring_read(ring, batch, (int)(expected % 48) + 1);
        if (got == 0) sched_yield();
        for (int i = 0; i < got; i++) wrong += batch[i] != expected++;
        const int fill = ae_ring_fill(ring);
        wrong += fill < 0 || fill > 256;
    }
    pthread_join(producer, NULL);
    CHECK(wrong == 0 && ae_ring_fill(ring) == 0);
    ae_ring_destroy(ring);
}

enum { k_words = 24, k_snapshots = 300000 };
typedef struct {
    uint32_t words[k_words]; /* all equal to the serial number */
} snapshot;

static void test_triple_alone(void)
{
    ae_triple *triple;
    CHECK(ae_triple_create(&triple, sizeof(snapshot)) == AE_OK);
    const uint64_t allocations = ae_allocation_count();
    snapshot value;
    memset(&value, 0xff, sizeof(value));
    CHECK(ae_triple_read(triple, &value) == 0 && value.words[0] == 0 && value.words[23] == 0);
    for (uint32_t serial = 1; serial < 50; serial++) {
        for (int i = 0; i < k_words; i++) value.words[i] = serial;
        ae_triple_write(triple, &value);
        if (serial % 3 == 0) continue; /* overwritten unread */
        memset(&value, 0xff, sizeof(value));
        CHECK(ae_triple_read(triple, &value) == 1 && value.words[k_words - 1] == serial);
        CHECK(ae_triple_read(triple, &value) == 0 && value.words[0] == serial);
    }
    ae_triple_reset(triple);
    CHECK(ae_triple_read(triple, &value) == 0 && value.words[5] == 0);
    CHECK(ae_allocation_count() == allocations);
    ae_triple_destroy(triple);
}

static void *write_snapshots(void *argument)
{
    snapshot value;
    for (uint32_t serial = 1; serial <= k_snapshots; serial++) {
        for (int i = 0; i < k_words; i++) value.words[i] = serial;
        ae_triple_write(argument, &value);
        if (serial % 1024 == 0) sched_yield();
    }
    return NULL;
}

static void test_triple_between_two_threads(void)
{
    ae_triple *triple;
    CHECK(ae_triple_create(&triple, sizeof(snapshot)) == AE_OK);
    pthread_t writer;
    CHECK(pthread_create(&writer, NULL, write_snapshots, triple) == 0);
    int wrong = 0;
    uint32_t last = 0;
    while (last < k_snapshots) {
        snapshot value;
        const int fresh = ae_triple_read(triple, &value);
        for (int i = 1; i < k_words; i++) wrong += value.words[i] != value.words[0];
        wrong += fresh ? value.words[0] <= last : value.words[0] != last;
        last = value.words[0];
        if (!fresh) sched_yield();
    }
    pthread_join(writer, NULL);
    CHECK(wrong == 0);
    ae_triple_destroy(triple);
}

typedef struct {
    ae_token *token;
    long guarded;
    int attempts;
} guarded_count;

static void *count_up(void *argument)
{
    guarded_count *count = argument;
    for (int done = 0; done < count->attempts;) {
        if (!ae_token_take(count->token)) {
            sched_yield();
            continue;
        }
        count->guarded++;
        done++;
        ae_token_give(count->token);
    }
    return NULL;
}

static void test_token_has_one_owner(void)
{
    guarded_count count = {.attempts = 20000};
    CHECK(ae_token_create(&count.token) == AE_OK);
    CHECK(ae_token_take(count.token) == 1 && ae_token_take(count.token) == 0);
    ae_token_give(count.token);
    pthread_t other;
    CHECK(pthread_create(&other, NULL, count_up, &count) == 0);
    count_up(&count);
    pthread_join(other, NULL);
    CHECK(count.guarded == 2L * count.attempts);
    ae_token_destroy(count.token);
    ae_token_destroy(NULL);
}

int main(void)
{
    test_create_checks_every_field();
    test_ring_keeps_order_over_every_wrap();
    test_ring_between_two_threads();
    test_triple_alone();
    test_triple_between_two_threads();
    test_token_has_one_owner();
    return AE_TEST_RESULT();
}
