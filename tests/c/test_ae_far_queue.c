/* Truths: what was written comes out bit for bit; a gap fades, is told once, loses nothing and
 * never jumps; two threads (run under the thread sanitizer). */
#include "ae_far_queue.h"

#include "ae_math.h"
#include "ae_test.h"

#include <pthread.h>
#include <sched.h>

enum { k_block = 480, k_fade = 240, k_capacity = 4096 };

static void test_limits(void)
{
    ae_far_queue *queue = (ae_far_queue *)&queue;
    CHECK(ae_far_queue_create(&queue, 0, k_block, k_capacity) == AE_ERROR_ARGUMENT &&
          queue == NULL);
    CHECK(ae_far_queue_create(&queue, 9, k_block, k_capacity) == AE_ERROR_ARGUMENT);
    CHECK(ae_far_queue_create(&queue, 1, 1, k_capacity) == AE_ERROR_ARGUMENT);
    CHECK(ae_far_queue_create(&queue, 1, k_block, 2 * k_block - 1) == AE_ERROR_ARGUMENT);
    CHECK(ae_far_queue_create(&queue, 8, k_block, 1 << 30) == AE_ERROR_ARGUMENT && queue == NULL);
    ae_far_queue_destroy(NULL);
}

/* Writes `frames` frames; channel c of frame n is (n + 1) / 2^15 + c. */
static void feed(ae_far_queue *queue, int channels, int first, int frames)
{
    float interleaved[2 * k_capacity];
    for (int n = 0; n < frames; n++) {
        for (int c = 0; c < channels; c++)
            interleaved[n * channels + c] = (float)(first + n + 1) / 32768.0f + (float)c;
    }
    CHECK(ae_far_queue_write(queue, interleaved, frames) == frames);
}

static void test_unchanged_from_the_first_frame(void)
{
    ae_far_queue *queue;
    CHECK(ae_far_queue_create(&queue, 2, k_block, k_capacity) == AE_OK);
    const uint64_t allocations = ae_allocation_count();
    CHECK(ae_far_queue_space(queue) >= k_capacity && ae_far_queue_fill(queue) == 0);
    float rows[2][k_block];
    float *out[] = {rows[0], rows[1]};
    CHECK(ae_far_queue_read(queue, out) == 0); /* nothing has begun: no gap */
    CHECK(ae_energy(rows[0], k_block) == 0.0f);
    feed(queue, 2, 0, 1200);
    int wrong = 0;
    for (int b = 0; b < 50; b++) {
        feed(queue, 2, 1200 + b * k_block, k_block);
        CHECK(ae_far_queue_read(queue, out) == 0);
        for (int n = 0; n < k_block; n++) {
            const float expected = (float)(b * k_block + n + 1) / 32768.0f;
            wrong += rows[0][n] != expected || rows[1][n] != expected + 1.0f;
        }
    }
    CHECK(wrong == 0 && ae_far_queue_fill(queue) == 1200);
    CHECK(ae_far_queue_space(queue) + 1200 >= k_capacity);
    CHECK(ae_allocation_count() == allocations);
    ae_far_queue_destroy(queue);
}

/* A constant 1 shows the gain itself: it moves by no more than a fade's step, ever. */
static void test_a_gap_fades_and_is_told_once(void)
{
    for (int left = 0; left < k_block + k_fade; left += 7) {
        ae_far_queue *queue;
        CHECK(ae_far_queue_create(&queue, 1, k_block, k_capacity) == AE_OK);
        float ones[k_capacity], row[k_block];
        float *out[] = {row};
        ae_fill(ones, 1.0f, k_capacity);
        /* It runs dry with `left` frames more than the reserve that is always there. */
        ae_far_queue_write(queue, ones, 2 * k_block + k_fade + left);
        float last = 1.0f, sum = 0.0f, largest = 0.0f; /* the first sound begins as it is */
        int gaps = 0;
        for (int b = 0; b < 14; b++) {
            if (b == 8) ae_far_queue_write(queue, ones, 3000);
            gaps += ae_far_queue_read(queue, out);
            for (int n = 0; n < k_block; n++) {
                largest = fmaxf(largest, fabsf(row[n] - last));
                last = row[n];
                sum += last;
            }
            CHECK(gaps == (b < (left < k_block ? 2 : 3) ? 0 : b < 13 ? 1 : gaps));
        }
        CHECK(largest <= 1.01f / k_fade);
        CHECK(sum > 2.0f * k_block);
        ae_far_queue_destroy(queue);
    }
}

/* What waited below the reserve is heard when more comes. */
static void test_a_gap_loses_nothing(void)
{
    ae_far_queue *queue;
    CHECK(ae_far_queue_create(&queue, 1, k_block, k_capacity) == AE_OK);
    float row[k_block];
    float *out[] = {row};
    feed(queue, 1, 0, k_block + k_fade); /* plays a block, keeps the reserve */
    CHECK(ae_far_queue_read(queue, out) == 0);
    CHECK(ae_far_queue_read(queue, out) == 1);
    CHECK(row[k_fade - 1] > 0.0f && row[k_fade] == 0.0f);
    CHECK(ae_far_queue_fill(queue) == 0);
    feed(queue, 1, 0, k_block + k_fade - 1); /* one too few: it waits, and that is no new gap */
    for (int b = 0; b < 5; b++) CHECK(ae_far_queue_read(queue, out) == 0);
    CHECK(ae_energy(row, k_block) == 0.0f && ae_far_queue_fill(queue) == k_block + k_fade - 1);
    feed(queue, 1, k_block + k_fade - 1, 1);
    CHECK(ae_far_queue_read(queue, out) == 0);
    CHECK(row[k_fade] == (float)(k_fade + 1) / 32768.0f);
    ae_far_queue_destroy(queue);
}

static void test_full_and_thrown_away(void)
{
    ae_far_queue *queue;
    CHECK(ae_far_queue_create(&queue, 1, k_block, k_capacity) == AE_OK);
    float zeros[k_capacity] = {0}, row[k_block];
    float *out[] = {row};
    CHECK(ae_far_queue_write(queue, zeros, k_capacity - 10) == k_capacity - 10);
    CHECK(ae_far_queue_write(queue, zeros, 100) == 10 && ae_far_queue_space(queue) == 0);
    CHECK(ae_far_queue_write(queue, zeros, 1) == 0);
    CHECK(ae_far_queue_read(queue, out) == 0);
    ae_far_queue_drop(queue, 1000);
    CHECK(ae_far_queue_fill(queue) == k_capacity - k_block - 1000);
    ae_far_queue_drop(queue, 1 << 30);
    CHECK(ae_far_queue_fill(queue) == 0);
    ae_far_queue_drop(queue, 5);
    CHECK(ae_far_queue_read(queue, out) == 0); /* it was stopped, not starved */
    ae_far_queue_destroy(queue);
}

enum { k_stream = 2000000 };

/* Frames 1, 2, 3 ... in pieces of any size. */
static void *produce(void *argument)
{
    ae_far_queue *queue = argument;
    float piece[700];
    uint32_t seed = 9;
    for (int sent = 0; sent < k_stream;) {
        const int wanted = (int)(fabsf(ae_random(&seed)) * 700.0f);
        const int count = wanted < k_stream - sent ? wanted : k_stream - sent;
        for (int i = 0; i < count; i++) piece[i] = (float)(sent + i + 1);
        const int written = ae_far_queue_write(queue, piece, count);
        if (written == 0) sched_yield();
        sent += written;
    }
    return NULL;
}

/* Within a block that is not faded the frames follow one another; between blocks too. */
static void test_between_two_threads(void)
{
    ae_far_queue *queue;
    CHECK(ae_far_queue_create(&queue, 1, k_block, k_capacity) == AE_OK);
    pthread_t producer;
    CHECK(pthread_create(&producer, NULL, produce, queue) == 0);
    float row[k_block], next = 1.0f;
    float *out[] = {row};
    int wrong = 0, quiet = 0;
    while (next < (float)(k_stream - 2 * k_block)) {
        if (ae_far_queue_fill(queue) < k_block + k_fade) {
            sched_yield();
            continue;
        }
        const int ended = ae_far_queue_read(queue, out);
        const int first = quiet ? k_fade : 0; /* the block before was silent: this one fades in */
        quiet = ended;
        if (ended) continue;
        if (first > 0) next = row[first];
        for (int n = first; n < k_block; n++, next += 1.0f) wrong += row[n] != next;
    }
    CHECK(wrong == 0);
    pthread_join(producer, NULL);
    ae_far_queue_destroy(queue);
}

int main(void)
{
    test_limits();
    test_unchanged_from_the_first_frame();
    test_a_gap_fades_and_is_told_once();
    test_a_gap_loses_nothing();
    test_full_and_thrown_away();
    test_between_two_threads();
    return AE_TEST_RESULT();
}
