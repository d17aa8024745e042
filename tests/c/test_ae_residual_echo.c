/* Truth: an echo estimate of which a known share is left in the error. */
#include "ae_residual_echo.h"

#include "ae_math.h"
#include "ae_stft.h"
#include "ae_test.h"

enum { k_rate = 16000, k_hop = 160, k_window = 512, k_bins = 257, k_misadjustment_bins = 161 };

typedef struct {
    ae_residual_echo *part;
    ae_stft *stft; /* of the error */
    uint32_t seed;
    float echo[k_hop], misadjustment[k_misadjustment_bins], colour;
    ae_echo_view view;
    float error[k_bins], residual[k_bins], presence[k_bins];
} rig;

static void make(rig *self)
{
    memset(self, 0, sizeof *self);
    self->seed = 9;
    const ae_residual_echo_config config = {k_rate, k_hop, k_window};
    const ae_stft_config stft = {k_hop, k_window};
    CHECK(ae_residual_echo_create(&self->part, &config) == AE_OK);
    CHECK(ae_stft_create(&self->stft, &stft) == AE_OK && ae_stft_bins(self->stft) == k_bins);
    self->view = (ae_echo_view){.frames = k_hop,
                                .capture = self->echo,
                                .far_end = self->echo,
                                .echo = self->echo,
                                .misadjustment_power = self->misadjustment,
                                .misadjustment_bins = k_misadjustment_bins,
                                .far_active = 1,
                                .trust = 1.0f};
}

static void destroy(rig *self)
{
    ae_residual_echo_destroy(self->part);
    ae_stft_destroy(self->stft);
}

typedef struct {
    double residual_db; /* power of the estimate, 200 .. 6000 Hz */
    double truth_db;    /* power of the error */
    double presence;    /* mean */
} sums;

/* `hops` of noise in syllables at level `echo`, of which leak * echo is left beside the near end.
 */
static sums run(rig *self, int hops, float echo, float leak, float near_end)
{
    double residual = 0.0, truth = 0.0, presence = 0.0;
    for (int t = 0; t < hops; t++) {
        float error[k_hop], re[k_bins], im[k_bins];
        const float syllable = t % 25 < 18 ? 1.0f : 0.1f;
        for (int i = 0; i < k_hop; i++) {
            self->colour += 0.5f * (ae_random(&self->seed) - self->colour);
            self->echo[i] = echo * syllable * self->colour;
            error[i] = leak * self->echo[i] + near_end * ae_random(&self->seed);
        }
        ae_stft_analyse(self->stft, error, re, im);
        for (int k = 0; k < k_bins; k++) self->error[k] = re[k] * re[k] + im[k] * im[k];
        ae_residual_echo_update(self->part, &self->view, self->error, self->residual,
                                self->presence);
        for (int k = 7; k < 192; k++) {
            residual += (double)self->residual[k];
            truth += (double)self->error[k];
            presence += (double)self->presence[k] / (185.0 * hops);
        }
    }
    return (sums){10.0 * log10(residual + 1e-30), 10.0 * log10(truth + 1e-30), presence};
}

static void test_create_checks_every_field(void)
{
    const ae_residual_echo_config bad[] = {
        {7999, 160, 512}, {96001, 160, 512}, {16000, 0, 512}, {16000, 160, 319}};
    for (int i = 0; i < 4; i++) {
        ae_residual_echo *self = (ae_residual_echo *)&bad;
        CHECK(ae_residual_echo_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_residual_echo_destroy(NULL);
}

/* Learned from the echo alone, to 3 dB, and little near end is seen. */
static void test_a_known_leak_is_learned(void)
{
    static const float leaks[] = {0.03f, 0.1f, 0.3f};
    for (int i = 0; i < 3; i++) {
        rig self;
        make(&self);
        run(&self, 600, 0.3f, leaks[i], 0.0f);
        const sums late = run(&self, 200, 0.3f, leaks[i], 0.0f);
        CHECK_NEAR(late.residual_db, late.truth_db, 3.0);
        CHECK(late.presence < 0.3);
        destroy(&self);
    }
}

static void test_the_near_end_is_present(void)
{
    rig self;
    make(&self);
    run(&self, 600, 0.3f, 0.05f, 0.0f);
    const sums alone = run(&self, 100, 0.3f, 0.05f, 0.0f);
    run(&self, 10, 0.3f, 0.05f, 0.5f);
    const sums both = run(&self, 90, 0.3f, 0.05f, 0.5f); /* near end 30 dB above what is left */
    CHECK(both.presence > 0.9);
    CHECK(both.residual_db - alone.residual_db < 6.0); /* and is not taken for echo */
    run(&self, 50, 0.3f, 0.05f, 0.0f);
    const sums again = run(&self, 50, 0.3f, 0.05f, 0.0f);
    CHECK(again.presence < 0.35);
    self.view.far_active = 0;
    run(&self, 60, 0.0f, 0.0f, 0.1f);
    const sums silent = run(&self, 50, 0.0f, 0.0f, 0.1f);
    CHECK(silent.presence > 0.99);
    CHECK(silent.residual_db < silent.truth_db - 60.0); /* no far end: no residual */
    destroy(&self);
}

/* An echo that the filter says it has not learned counts, whatever else was learned. */
static void test_misadjustment_raises_the_residual(void)
{
    rig self;
    make(&self);
    run(&self, 600, 0.3f, 0.03f, 0.0f);
    const double low = run(&self, 25, 0.3f, 0.03f, 0.0f).residual_db;
    ae_fill(self.misadjustment, 1e-1f, k_misadjustment_bins);
    const double some = run(&self, 25, 0.3f, 0.03f, 0.0f).residual_db;
    ae_fill(self.misadjustment, 1e6f, k_misadjustment_bins); /* more than there is to be left */
    const sums most = run(&self, 25, 0.3f, 0.03f, 0.0f);
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
        const float level = levels[t / 10 % 4], power = levels[t / 40 % 4];
        for (int i = 0; i < k_hop; i++) used.echo[i] = (i + t) % 3 ? level : -level;
        ae_fill(used.error, power * power * 1e4f, k_bins);
        ae_fill(used.misadjustment, levels[t / 160] * 1e4f, k_misadjustment_bins);
        used.view.far_active = t % 7 > 0;
        ae_residual_echo_update(used.part, &used.view, used.error, used.residual, used.presence);
        for (int k = 0; k < k_bins; k++) {
            CHECK(isfinite(used.residual[k]) && used.residual[k] >= 0.0f);
            CHECK(used.presence[k] >= 0.0f && used.presence[k] <= 1.0f);
        }
    }
    ae_residual_echo_reset(used.part);
    ae_fill(used.misadjustment, 0.0f, k_misadjustment_bins);
    used.view.far_active = 1;
    for (int t = 0; t < 120; t++) {
        run(&used, 1, 0.3f, 0.1f, 0.01f);
        run(&fresh, 1, 0.3f, 0.1f, 0.01f);
        CHECK(memcmp(used.residual, fresh.residual, sizeof used.residual) == 0);
        CHECK(memcmp(used.presence, fresh.presence, sizeof used.presence) == 0);
    }
    CHECK(ae_allocation_count() == allocations);
    destroy(&used);
    destroy(&fresh);
}

static void test_any_rate_is_served(void)
{
    static const int rates[] = {8000, 11025, 22050, 44100, 48000, 96000};
    for (int r = 0; r < 6; r++) {
        static float error[2049], residual[2049], presence[2049], echo[960], misadjustment[16];
        const int hop = ae_block_frames(rates[r]);
        const ae_residual_echo_config config = {rates[r], hop, 2 * hop};
        const ae_echo_view view = {.frames = hop,
                                   .capture = echo,
                                   .far_end = echo,
                                   .echo = echo,
                                   .misadjustment_power = misadjustment,
                                   .misadjustment_bins = 16,
                                   .far_active = 1,
                                   .trust = 1.0f};
        ae_residual_echo *part = NULL;
        ae_stft *stft = NULL;
        CHECK(ae_residual_echo_create(&part, &config) == AE_OK);
        CHECK(ae_stft_create(&stft, &(ae_stft_config){hop, 2 * hop}) == AE_OK);
        const int bins = ae_stft_bins(stft);
        uint32_t seed = 1;
        for (int i = 0; i < hop; i++) echo[i] = ae_random(&seed);
        ae_fill(residual, -1.0f, 2049);
        ae_fill(error, 1.0f, 2049);
        ae_residual_echo_update(part, &view, error, residual, presence);
        for (int k = 0; k < bins; k++) CHECK(residual[k] > 0.0f && presence[k] <= 1.0f);
        CHECK(residual[bins] == -1.0f); /* the bins of the same ae_stft and no more */
        ae_stft_destroy(stft);
        ae_residual_echo_destroy(part);
    }
}

int main(void)
{
    test_create_checks_every_field();
    test_a_known_leak_is_learned();
    test_the_near_end_is_present();
    test_misadjustment_raises_the_residual();
    test_reset_is_new_and_bad_weather();
    test_any_rate_is_served();
    return AE_TEST_RESULT();
}
