/* Truth: an echo estimate of which a known share is left in the error. */
#include "ae_residual_echo.h"

#include "ae_math.h"
#include "ae_stft.h"
#include "ae_test.h"

enum { k_rate = 16000, k_hop = 160, k_window = 512, k_bins = 257 };

typedef struct {
    ae_residual_echo *part;
    ae_stft *echo_stft, *error_stft;
    uint32_t seed;
    float colour;
    float echo[k_bins], error[k_bins], misadjustment[k_bins], residual[k_bins];
    int far_active;
} rig;

static void make(rig *self)
{
    *self = (rig){.seed = 9, .far_active = 1};
    const ae_residual_echo_config config = {k_rate, k_bins};
    const ae_stft_config stft = {k_hop, k_window};
    CHECK(ae_residual_echo_create(&self->part, &config) == AE_OK);
    CHECK(ae_stft_create(&self->echo_stft, &stft) == AE_OK);
    CHECK(ae_stft_create(&self->error_stft, &stft) == AE_OK);
    CHECK(ae_stft_bins(self->echo_stft) == k_bins);
}

static void destroy(rig *self)
{
    ae_residual_echo_destroy(self->part);
    ae_stft_destroy(self->echo_stft);
    ae_stft_destroy(self->error_stft);
}

static void update(rig *self)
{
    const ae_echo_planes planes = {
        .error = self->error, .echo = self->echo, .misadjustment = self->misadjustment};
    ae_residual_echo_update(self->part, &planes, self->far_active, self->residual);
}

static void find_power(ae_stft *stft, const float *signal, float *power)
{
    float re[k_bins], im[k_bins];
    ae_stft_analyse(stft, signal, re, im);
    for (int k = 0; k < k_bins; k++) power[k] = re[k] * re[k] + im[k] * im[k];
}

typedef struct {
    double residual_db; /* power of the estimate, 200 .. 6000 Hz */
    double truth_db;    /* power of the error */
} sums;

/* `hops` of noise in syllables at level `echo`, of which leak * echo is left beside the near end.
 */
static sums run(rig *self, int hops, float echo_level, float leak, float near_end)
{
    double residual = 0.0, truth = 0.0;
    for (int t = 0; t < hops; t++) {
        float echo[k_hop], error[k_hop];
        const float syllable = t % 25 < 18 ? 1.0f : 0.1f;
        for (int i = 0; i < k_hop; i++) {
            self->colour += 0.5f * (ae_random(&self->seed) - self->colour);
            echo[i] = echo_level * syllable * self->colour;
            error[i] = leak * echo[i] + near_end * ae_random(&self->seed);
        }
        find_power(self->echo_stft, echo, self->echo);
        find_power(self->error_stft, error, self->error);
        update(self);
        for (int k = 7; k < 192; k++) {
            residual += (double)self->residual[k];
            truth += (double)self->error[k];
        }
    }
    return (sums){10.0 * log10(residual + 1e-30), 10.0 * log10(truth + 1e-30)};
}

static void test_create_checks_every_field(void)
{
    const ae_residual_echo_config bad[] = {{7999, 257}, {96001, 257}, {16000, 7}};
    for (int i = 0; i < 3; i++) {
        ae_residual_echo *self = (ae_residual_echo *)&bad;
        CHECK(ae_residual_echo_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_residual_echo_destroy(NULL);
}

/* Learned from the echo alone, to 3 dB. */
static void test_a_known_leak_is_learned(void)
{
    static const float leaks[] = {0.03f, 0.1f, 0.3f};
    for (int i = 0; i < 3; i++) {
        rig self;
        make(&self);
        run(&self, 600, 0.3f, leaks[i], 0.0f);
        const sums late = run(&self, 200, 0.3f, leaks[i], 0.0f);
        CHECK_NEAR(late.residual_db, late.truth_db, 3.0);
        destroy(&self);
    }
}

static void test_the_near_end_is_not_taken_for_echo(void)
{
    rig self;
    make(&self);
    run(&self, 600, 0.3f, 0.05f, 0.0f);
    const sums alone = run(&self, 100, 0.3f, 0.05f, 0.0f);
    run(&self, 10, 0.3f, 0.05f, 0.5f);
    const sums both = run(&self, 90, 0.3f, 0.05f, 0.5f); /* near end 30 dB above what is left */
    CHECK(both.residual_db - alone.residual_db < 6.0);
    self.far_active = 0;
    run(&self, 60, 0.0f, 0.0f, 0.1f);
    const sums silent = run(&self, 50, 0.0f, 0.0f, 0.1f);
    CHECK(silent.residual_db < silent.truth_db - 60.0); /* no far end: no residual */
    destroy(&self);
}

/* What has been learned stays while the far end is silent, however loud the near end is. */
static void test_silence_teaches_nothing(void)
{
    rig self;
    make(&self);
    run(&self, 600, 0.3f, 0.05f, 0.0f);
    const sums before = run(&self, 100, 0.3f, 0.05f, 0.0f);
    self.far_active = 0;
    run(&self, 300, 0.0f, 0.0f, 0.5f);
    self.far_active = 1;
    const sums after = run(&self, 100, 0.3f, 0.05f, 0.0f);
    CHECK_NEAR(after.residual_db, before.residual_db, 3.0);
    destroy(&self);
}

/* An echo that the filter says it has not learned counts, whatever else was learned. */
static void test_misadjustment_raises_the_residual(void)
{
    rig self;
    make(&self);
    run(&self, 600, 0.3f, 0.03f, 0.0f);
    const double low = run(&self, 25, 0.3f, 0.03f, 0.0f).residual_db;
    ae_fill(self.misadjustment, 1e-1f, k_bins);
    const double some = run(&self, 25, 0.3f, 0.03f, 0.0f).residual_db;
    ae_fill(self.misadjustment, 1e6f, k_bins); /* more than there is to be left */
    const sums most = run(&self, 25, 0.3f, 0.03f, 0.0f);
    printf("misadjustment: %.1f, %.1f, %.1f dB, truth %.1f\n", low, some, most.residual_db,
           most.truth_db);
    CHECK(some > low + 1.0 && most.residual_db > some + 3.0);
    CHECK(most.residual_db < most.truth_db + 33.5); /* the echo itself is 30.5 dB above */
    destroy(&self);
}

static void test_reset_is_new_and_bad_weather(void)
{
    static const float levels[] = {0.0f, 64.0f, 1e-40f, 1e-3f};
    rig used, fresh;
    make(&used);
    make(&fresh);
    const uint64_t allocations = ae_allocation_count();
    for (int t = 0; t < 640; t++) {
        const float echo = levels[t / 10 % 4], error = levels[t / 40 % 4];
        ae_fill(used.echo, echo * echo * 1e4f, k_bins);
        ae_fill(used.error, error * error * 1e4f, k_bins);
        ae_fill(used.misadjustment, levels[t / 160] * 1e4f, k_bins);
        used.far_active = t % 7 > 0;
        update(&used);
        for (int k = 0; k < k_bins; k++)
            CHECK(isfinite(used.residual[k]) && used.residual[k] >= 0.0f);
    }
    ae_residual_echo_reset(used.part);
    ae_fill(used.misadjustment, 0.0f, k_bins);
    used.far_active = 1;
    for (int t = 0; t < 120; t++) {
        run(&used, 1, 0.3f, 0.1f, 0.01f);
        run(&fresh, 1, 0.3f, 0.1f, 0.01f);
        CHECK(memcmp(used.residual, fresh.residual, sizeof used.residual) == 0);
    }
    CHECK(ae_allocation_count() == allocations);
    destroy(&used);
    destroy(&fresh);
}

/* A hop with NaN or infinity in any plane passes by: what was learned stays. */
static void test_not_a_number_passes_by(void)
{
    static const float values[] = {NAN, INFINITY, 3e38f};
    for (int v = 0; v < 3; v++)
        for (int plane = 0; plane < 3; plane++) {
            rig used, spared;
            make(&used);
            make(&spared);
            run(&used, 300, 0.3f, 0.05f, 0.0f);
            run(&spared, 300, 0.3f, 0.05f, 0.0f);
            float *planes[] = {used.error, used.echo, used.misadjustment};
            ae_fill(planes[plane], values[v], k_bins);
            update(&used);
            for (int k = 0; k < k_bins; k++) CHECK(isfinite(used.residual[k]));
            ae_zero(used.misadjustment, k_bins);
            CHECK_NEAR(run(&used, 50, 0.3f, 0.05f, 0.0f).residual_db,
                       run(&spared, 50, 0.3f, 0.05f, 0.0f).residual_db, 0.5);
            destroy(&used);
            destroy(&spared);
        }
}

/* Every bin of any grid gets a value, and nothing behind the last one. */
static void test_any_grid_is_served(void)
{
    static const ae_residual_echo_config grids[] = {{8000, 8},    {8000, 129},  {11025, 181},
                                                    {16000, 257}, {44100, 721}, {48000, 769},
                                                    {96000, 2049}};
    for (int g = 0; g < 7; g++) {
        static float power[2049], residual[2050];
        const ae_echo_planes planes = {.error = power, .echo = power, .misadjustment = power};
        ae_residual_echo *part = NULL;
        CHECK(ae_residual_echo_create(&part, &grids[g]) == AE_OK);
        ae_fill(power, 1.0f, 2049);
        ae_fill(residual, -1.0f, 2050);
        ae_residual_echo_update(part, &planes, 1, residual);
        for (int k = 0; k < grids[g].bins; k++) CHECK(residual[k] > 0.0f);
        CHECK(residual[grids[g].bins] == -1.0f);
        ae_residual_echo_destroy(part);
    }
}

int main(void)
{
    test_create_checks_every_field();
    test_a_known_leak_is_learned();
    test_the_near_end_is_not_taken_for_echo();
    test_silence_teaches_nothing();
    test_misadjustment_raises_the_residual();
    test_reset_is_new_and_bad_weather();
    test_not_a_number_passes_by();
    test_any_grid_is_served();
    return AE_TEST_RESULT();
}
