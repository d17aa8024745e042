/* Truths: the way around is the input, exactly latency_frames late, for any latency; a fade starts
 * and ends where it should and does not jump; reset forgets; copy goes on where the other stands.
 */
#include "ae_bypass.h"
#include "ae_math.h"
#include "ae_test.h"

enum { k_block = 160, k_blocks = 12 };

static ae_bypass make(int channels, int latency_frames, ae_arena *arena)
{
    ae_arena measure = {0};
    ae_bypass_lay_out(NULL, &measure, channels, k_block, latency_frames);
    *arena = (ae_arena){ae_allocate(measure.used), 0};
    ae_bypass made = {0};
    ae_bypass_lay_out(&made, arena, channels, k_block, latency_frames);
    CHECK(arena->used == measure.used);
    return made;
}

/* One block through the way around; what the kernel gave is all ones. */
static void run(ae_bypass *bypass, const float *in, float *out, float from, float to)
{
    const float *rows[] = {in};
    float *outs[] = {out};
    ae_bypass_take(bypass, rows);
    ae_fill(out, 1.0f, k_block);
    ae_bypass_mix(bypass, outs, from, to);
    ae_bypass_advance(bypass);
}

static void test_the_way_around_is_exactly_as_late(void)
{
    const int latencies[] = {0, 1, 159, 160, 161, 400};
    for (size_t i = 0; i < sizeof latencies / sizeof *latencies; i++) {
        const int latency = latencies[i];
        ae_arena arena;
        ae_bypass bypass = make(1, latency, &arena);
        float in[k_blocks * k_block], out[k_blocks * k_block];
        uint32_t seed = 3;
        for (int n = 0; n < k_blocks * k_block; n++) in[n] = ae_random(&seed);
        for (int b = 0; b < k_blocks; b++) {
            run(&bypass, in + b * k_block, out + b * k_block, 0.0f, 0.0f);
        }
        for (int n = 0; n < k_blocks * k_block; n++) {
            CHECK(out[n] == (n < latency ? 0.0f : in[n - latency]));
        }
        ae_bypass_reset(&bypass);
        run(&bypass, in, out, 0.0f, 0.0f);
        for (int n = 0; n < k_block; n++) CHECK(out[n] == (n < latency ? 0.0f : in[n - latency]));
        ae_free(arena.base);
    }
}

static void test_fades_go_all_the_way_in_equal_steps(void)
{
    ae_arena arena;
    ae_bypass bypass = make(1, 0, &arena);
    const float silence[k_block] = {0};
    float out[k_block];
    run(&bypass, silence, out, 0.0f, 1.0f); /* to the kernel's ones */
    float last = 0.0f;
    for (int n = 0; n < k_block; n++) {
        CHECK_NEAR(out[n] - last, 1.0 / k_block, 1e-6);
        last = out[n];
    }
    CHECK_NEAR(last, 1.0, 1e-6);
    run(&bypass, silence, out, 1.0f, 0.0f);
    CHECK_NEAR(out[0], 1.0 - 1.0 / k_block, 1e-6);
    CHECK_NEAR(out[k_block - 1], 0.0, 1e-6);
    run(&bypass, silence, out, 1.0f, 1.0f);
    CHECK(out[0] == 1.0f && out[k_block - 1] == 1.0f);
    ae_free(arena.base);
}

static void test_copy_goes_on_where_the_other_stands(void)
{
    ae_arena arenas[3];
    ae_bypass from = make(1, k_block, &arenas[0]), to = make(1, k_block, &arenas[1]);
    ae_bypass other = make(1, 7, &arenas[2]);
    float in[k_block], out[k_block];
    for (int n = 0; n < k_block; n++) in[n] = (float)n;
    run(&from, in, out, 0.0f, 0.0f);
    ae_bypass_copy(&to, &from);
    ae_bypass_copy(&other, &from);
    const float silence[k_block] = {0};
    run(&to, silence, out, 0.0f, 0.0f);
    CHECK(memcmp(out, in, sizeof in) == 0);
    run(&other, silence, out, 0.0f, 0.0f);
    CHECK(ae_energy(out, k_block) == 0.0f);
    for (int i = 0; i < 3; i++) ae_free(arenas[i].base);
}

int main(void)
{
    test_the_way_around_is_exactly_as_late();
    test_fades_go_all_the_way_in_equal_steps();
    test_copy_goes_on_where_the_other_stands();
    return AE_TEST_RESULT();
}
