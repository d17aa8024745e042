/* Truths: frames come out in the order they went in, whatever the sizes on both sides; channels map
 * by the stated rule; nothing beyond what was asked for is touched. */
#include "ae_fifo.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_capacity = 64, k_channels = 3 };

static void test_limits(void)
{
    ae_fifo *fifo = (ae_fifo *)&fifo;
    CHECK(ae_fifo_create(&fifo, 0, 8) == AE_ERROR_ARGUMENT && fifo == NULL);
    CHECK(ae_fifo_create(&fifo, AE_MAX_CHANNELS + 1, 8) == AE_ERROR_ARGUMENT);
    CHECK(ae_fifo_create(&fifo, 1, 0) == AE_ERROR_ARGUMENT);
    CHECK(ae_fifo_create(&fifo, AE_MAX_CHANNELS, 1) == AE_OK);
    ae_fifo_destroy(fifo);
    ae_fifo_destroy(NULL);
}

/* Frame number n has the value n + c / 8 in channel c. */
static float value(int n, int c) { return (float)n + (float)c / 8.0f; }

static void append(ae_fifo *fifo, int first, int frames, int planar)
{
    float interleaved[k_capacity * k_channels], rows[k_channels][k_capacity];
    for (int c = 0; c < k_channels; c++) {
        for (int n = 0; n < frames; n++)
            interleaved[n * k_channels + c] = rows[c][n] = value(first + n, c);
    }
    const float *pointers[] = {rows[0], rows[1], rows[2]};
    if (planar) {
        ae_fifo_write_rows(fifo, pointers, frames);
    } else {
        ae_fifo_write(fifo, interleaved, k_channels, frames);
    }
}

static int take(ae_fifo *fifo, int first, int frames, int planar)
{
    float interleaved[k_capacity * k_channels + 1], rows[k_channels][k_capacity];
    float *pointers[] = {rows[0], rows[1], rows[2]};
    interleaved[frames * k_channels] = -1.0f;
    if (planar) {
        ae_fifo_read_rows(fifo, pointers, frames);
    } else {
        ae_fifo_read(fifo, interleaved, k_channels, frames);
    }
    int wrong = interleaved[frames * k_channels] != -1.0f;
    for (int c = 0; c < k_channels; c++) {
        for (int n = 0; n < frames; n++) {
            const float got = planar ? rows[c][n] : interleaved[n * k_channels + c];
            wrong += got != value(first + n, c);
        }
    }
    return wrong;
}

static void test_order_at_random_sizes(void)
{
    ae_fifo *fifo;
    CHECK(ae_fifo_create(&fifo, k_channels, k_capacity) == AE_OK);
    const uint64_t allocations = ae_allocation_count();
    uint32_t seed = 5;
    int written = 0, given = 0, wrong = 0;
    for (int turn = 0; turn < 3000; turn++) {
        const int room = k_capacity - (written - given);
        const int in = (int)(fabsf(ae_random(&seed)) * (float)(room + 1));
        append(fifo, written, in, turn % 2);
        written += in;
        CHECK(ae_fifo_fill(fifo) == written - given);
        const int out = (int)(fabsf(ae_random(&seed)) * (float)(written - given + 1));
        wrong += take(fifo, given, out, turn % 3 == 0);
        given += out;
    }
    CHECK(wrong == 0 && written > 30000);
    append(fifo, 0, k_capacity - ae_fifo_fill(fifo), 0);
    ae_fifo_clear(fifo);
    CHECK(ae_fifo_fill(fifo) == 0);
    CHECK(ae_allocation_count() == allocations);
    ae_fifo_destroy(fifo);
}

/* Channel c of the receiver takes channel c modulo the giver's. */
static void test_channels_are_mapped(void)
{
    for (int engine = 1; engine <= 4; engine++) {
        for (int device = 1; device <= 4; device++) {
            ae_fifo *fifo;
            CHECK(ae_fifo_create(&fifo, engine, 8) == AE_OK);
            float in[4] = {0}, out[4] = {0}, rows[4];
            float *pointers[] = {&rows[0], &rows[1], &rows[2], &rows[3]};
            for (int d = 0; d < device; d++) in[d] = (float)(d + 1);
            ae_fifo_write(fifo, in, device, 1);
            ae_fifo_read_rows(fifo, pointers, 1);
            for (int c = 0; c < engine; c++) CHECK(rows[c] == (float)(c % device + 1));
            for (int c = 0; c < engine; c++) rows[c] = (float)(c + 1);
            ae_fifo_write_rows(fifo, (const float *const *)pointers, 1);
            ae_fifo_read(fifo, out, device, 1);
            for (int d = 0; d < device; d++) CHECK(out[d] == (float)(d % engine + 1));
            ae_fifo_destroy(fifo);
        }
    }
}

static void test_nothing_is_silence(void)
{
    ae_fifo *fifo;
    CHECK(ae_fifo_create(&fifo, 2, 8) == AE_OK);
    const float in[4] = {1.0f, 2.0f, 3.0f, 4.0f};
    float out[10];
    ae_fifo_write(fifo, in, 2, 2);
    ae_fifo_write(fifo, NULL, 2, 3);
    ae_fifo_read(fifo, out, 2, 5);
    for (int i = 0; i < 10; i++) CHECK(out[i] == (i < 4 ? in[i] : 0.0f));
    ae_fifo_read(fifo, out, 2, 0);
    CHECK(out[0] == 1.0f && ae_fifo_fill(fifo) == 0);
    ae_fifo_destroy(fifo);
}

int main(void)
{
    test_limits();
    test_order_at_random_sizes();
    test_channels_are_mapped();
    test_nothing_is_silence();
    return AE_TEST_RESULT();
}
