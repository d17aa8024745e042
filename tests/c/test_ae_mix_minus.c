/* Truths: while its microphone is closed, the own mix is the programme to the last bit; what the
 * limiter does for one signal does not depend on who owns it. */
#include "ae_mix_minus.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_rate = 48000, k_block = 480, k_blocks = 400 };

static float programme_in[k_blocks * k_block], own_in[k_blocks * k_block];
static float programme[k_blocks * k_block], heard_mix[k_blocks * k_block];

/* A hot programme; the participant's own signal is what differs while he is open. */
static void make_signals(float own_size)
{
    uint32_t seed = 5;
    for (int n = 0; n < k_blocks * k_block; n++) {
        const float swell = 0.6f + 0.4f * sinf(3e-4f * (float)n);
        const float others = 1.5f * swell * sinf(0.05f * (float)n);
        programme_in[n] = others + own_size * ae_random(&seed);
        own_in[n] = others;
    }
}

/* Runs the room of one limiter and one mix-minus; the microphone is open in blocks [from, to). */
static void run(int from, int to, int *own_blocks)
{
    const ae_limiter_config config = ae_limiter_default_config(k_rate);
    ae_limiter *limiter;
    ae_mix_minus minus;
    CHECK(ae_limiter_create(&limiter, &config) == AE_OK);
    CHECK(ae_mix_minus_init(&minus, &config) == AE_OK);
    *own_blocks = 0;
    const uint64_t allocations = ae_allocation_count();
    for (int b = 0; b < k_blocks; b++) {
        const int heard = b >= from && b < to;
        const float *in = (heard ? programme_in : own_in) + b * k_block;
        float *out = programme + b * k_block, *row = heard_mix + b * k_block;
        const float *const rows[] = {in}, *const outs[] = {out};
        ae_mix_minus_begin(&minus, heard, limiter);
        ae_limiter_process(limiter, rows, (float *const[]){out});
        ae_copy(row, minus.own ? own_in + b * k_block : out, k_block);
        if (minus.own)
            ae_mix_minus_end(&minus, heard, limiter, outs, 1, k_block, (float *const[]){row});
        *own_blocks += minus.own;
    }
    CHECK(ae_allocation_count() == allocations);
    ae_limiter_destroy(limiter);
    ae_mix_minus_free(&minus);
}

static void test_closed_hears_the_programme(void)
{
    int own_blocks;
    make_signals(0.0f);
    run(k_blocks, k_blocks, &own_blocks);
    CHECK(own_blocks == 0);
    CHECK(memcmp(programme, heard_mix, sizeof programme) == 0);
}

/* Opens and closes without a sound of its own: nothing changes, not even in the last bit, because
 * the limiter's state was taken over. */
static void test_takes_the_limiter_over(void)
{
    int own_blocks;
    make_signals(0.0f);
    run(100, 200, &own_blocks);
    CHECK(own_blocks >= 100 && own_blocks <= 103);
    CHECK(memcmp(programme, heard_mix, sizeof programme) == 0);
}

static float largest_step(const float *x, int from, int to)
{
    float largest = 0.0f;
    for (int n = from + 1; n < to; n++) largest = fmaxf(largest, fabsf(x[n] - x[n - 1]));
    return largest;
}

/* His own shouts turn the programme down by some 10 dB, not what he hears; the way back is smooth.
 */
static void test_own_shout_is_not_in_it_and_it_comes_back(void)
{
    int own_blocks;
    make_signals(4.0f);
    run(100, 200, &own_blocks);
    CHECK(own_blocks > 100 && own_blocks <= 201); /* within 1 s after it closed */
    CHECK(memcmp(programme + 310 * k_block, heard_mix + 310 * k_block,
                 90 * k_block * sizeof(float)) == 0);
    /* A 382 Hz tone of at most 0.89 moves by 0.045 a sample. */
    CHECK(largest_step(heard_mix, 0, k_blocks * k_block) < 0.05f);
    for (int n = 0; n < k_blocks * k_block; n++) CHECK(fabsf(heard_mix[n]) < 0.8913f);
}

int main(void)
{
    test_closed_hears_the_programme();
    test_takes_the_limiter_over();
    test_own_shout_is_not_in_it_and_it_comes_back();
    return AE_TEST_RESULT();
}
