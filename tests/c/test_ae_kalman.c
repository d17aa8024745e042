/* Truth: a known FIR echo path, which the filter must identify from noise. */
#include "ae_kalman.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_block = 80, k_fft = 160, k_partitions = 6, k_bins = k_fft / 2 + 1, k_taps = 400 };
static const ae_kalman_config k_config = {.block_frames = k_block,
                                          .fft_size = k_fft,
                                          .partitions = k_partitions,
                                          .full_partitions = k_partitions,
                                          .low_bins = k_fft / 2 + 1,
                                          .memory = 0.9999f};

typedef struct {
    ae_kalman *filter;
    ae_far_end *far;
    uint32_t seed;
    float past[k_taps + k_block]; /* far end, oldest first */
    float path[k_taps];
    float capture_power, error_power, misadjustment_power, expected_power; /* sums */
} rig;

/* A direct sound after 20 frames, then a decaying random tail: half of the far end's amplitude. */
static void make_path(float *path, uint32_t seed)
{
    float energy = 0.0f;
    for (int i = 0; i < k_taps; i++) {
        path[i] = i < 20 ? 0.0f : ae_random(&seed) * expf(-(float)(i - 20) / 80.0f);
        if (i == 20) path[i] = 1.0f;
        energy += path[i] * path[i];
    }
    for (int i = 0; i < k_taps; i++) path[i] *= 0.5f / sqrtf(energy);
}

static rig make(void)
{
    const ae_far_end_config far = {.block_frames = k_block,
                                   .fft_size = k_fft,
                                   .partitions = k_partitions,
                                   .max_delay_frames = 400};
    rig self = {.seed = 11};
    CHECK(ae_kalman_create(&self.filter, &k_config) == AE_OK);
    CHECK(ae_far_end_create(&self.far, &far) == AE_OK);
    make_path(self.path, 3);
    return self;
}

static void destroy(rig *self)
{
    ae_kalman_destroy(self->filter);
    ae_far_end_destroy(self->far);
}

/* One block of far end through the path, with `noise` beside it; sums up the powers. */
static void step(rig *self, float noise)
{
    float echo[k_block], error[k_block], *fresh = self->past + k_taps;
    memmove(self->past, self->past + k_block, sizeof(float) * k_taps);
    for (int i = 0; i < k_block; i++) fresh[i] = 0.3f * ae_random(&self->seed);
    ae_far_end_push(self->far, fresh);
    ae_kalman_predict(self->filter, ae_far_end_spectra(self->far), echo);
    for (int i = 0; i < k_block; i++) {
        float truth = 0.0f;
        for (int j = 0; j < k_taps; j++) truth += self->path[j] * fresh[i - j];
        const float capture = truth + noise * ae_random(&self->seed);
        error[i] = capture - echo[i];
        self->capture_power += capture * capture;
        self->error_power += error[i] * error[i];
        self->misadjustment_power += (truth - echo[i]) * (truth - echo[i]);
    }
    ae_kalman_adapt(self->filter, ae_far_end_spectra(self->far), error);
    for (int k = 0; k < k_bins; k++)
        self->expected_power += (k % (k_bins - 1) ? 2.0f : 1.0f) *
                                ae_kalman_misadjustment(self->filter)[k] / (float)k_fft;
}

/* Echo return loss enhancement over the next blocks, before learning from each. */
static float erle_db(rig *self, int blocks, float noise)
{
    self->capture_power = self->error_power = self->misadjustment_power = 0.0f;
    self->expected_power = 0.0f;
    for (int b = 0; b < blocks; b++) step(self, noise);
    return ae_db_from_power(self->capture_power / self->error_power);
}

static void test_create_checks_every_field(void)
{
    ae_kalman_config bad[11];
    for (int i = 0; i < 11; i++) bad[i] = k_config;
    bad[0].block_frames = 7;
    bad[1].fft_size = 2 * k_block - 2;
    bad[2].partitions = 0;
    bad[3].partitions = 257;
    bad[4].full_partitions = k_partitions + 1;
    bad[5].full_partitions = 0;
    bad[6].low_bins = 0;
    bad[7].low_bins = k_bins + 1;
    bad[8].memory = 0.89f;
    bad[9].memory = 1.1f;
    bad[10].memory = NAN;
    for (int i = 0; i < 11; i++) {
        ae_kalman *self = (ae_kalman *)&bad;
        CHECK(ae_kalman_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_kalman_destroy(NULL);
}

/* An impulse through the filter shows the path it has found. */
static float misalignment_db(rig *self)
{
    float block[k_block] = {1.0f}, found[k_block], wrong = 0.0f, right = 0.0f;
    ae_far_end_reset(self->far);
    for (int p = 0; p < k_partitions; p++) {
        ae_far_end_push(self->far, block);
        block[0] = 0.0f;
        ae_kalman_predict(self->filter, ae_far_end_spectra(self->far), found);
        for (int i = 0; i < k_block; i++) {
            const int tap = p * k_block + i;
            const float truth = tap < k_taps ? self->path[tap] : 0.0f;
            wrong += (found[i] - truth) * (found[i] - truth);
            right += truth * truth;
        }
    }
    return ae_db_from_power(wrong / right);
}

static void test_a_known_path_is_identified(void)
{
    rig self = make();
    const float early = erle_db(&self, 25, 1e-4f), middle = erle_db(&self, 75, 1e-4f);
    erle_db(&self, 200, 1e-4f);
    const float late = erle_db(&self, 100, 1e-4f);
    CHECK(early > 3.0f && middle > 15.0f && late > 45.0f);
    CHECK(misalignment_db(&self) < -45.0f);
    destroy(&self);
}

/* The stated uncertainty is that of the true misadjustment, to within 6 dB; near end 20 dB above
 * the echo does not undo what is learned; another path is learned anew. */
static void test_uncertainty_near_end_and_a_new_path(void)
{
    rig self = make();
    erle_db(&self, 400, 1e-2f);
    const float before = erle_db(&self, 100, 1e-2f);
    const float kept_db = ae_db_from_power(self.misadjustment_power);
    CHECK_NEAR(ae_db_from_power(self.expected_power), kept_db, 6.0f);
    erle_db(&self, 200, 1.5f);
    erle_db(&self, 20, 1e-2f);
    const float after = ae_db_from_power(self.capture_power / self.misadjustment_power);
    CHECK(after > before - 6.0f);
    make_path(self.path, 77);
    CHECK(erle_db(&self, 10, 1e-2f) < 6.0f);
    erle_db(&self, 400, 1e-2f);
    const float again = erle_db(&self, 100, 1e-2f);
    CHECK(again > before - 6.0f);
    destroy(&self);
}

/* When the far end's delay grows by a block and the filter is shifted, the estimate stays. */
static void test_a_shift_keeps_the_path_in_place(void)
{
    rig self = make();
    float before[k_block], after[k_block];
    memmove(self.path + 2 * k_block, self.path, sizeof(float) * (k_taps - 2 * k_block));
    memset(self.path, 0, sizeof(float) * 2 * k_block); /* room for the shift */
    CHECK(erle_db(&self, 300, 1e-4f) > 10.0f);
    ae_kalman_predict(self.filter, ae_far_end_spectra(self.far), before);
    ae_far_end_set_delay(self.far, k_block);
    ae_kalman_shift(self.filter, 1);
    ae_kalman_predict(self.filter, ae_far_end_spectra(self.far), after);
    float apart = 0.0f;
    for (int i = 0; i < k_block; i++) apart += (after[i] - before[i]) * (after[i] - before[i]);
    CHECK(apart < 1e-3f * ae_energy(before, k_block));
    ae_kalman_shrink(self.filter, 0.5f);
    ae_kalman_predict(self.filter, ae_far_end_spectra(self.far), before);
    for (int i = 0; i < k_block; i++) CHECK_NEAR(before[i], 0.5f * after[i], 1e-5f);
    destroy(&self);
}

static void test_reset_is_new_and_bad_weather(void)
{
    rig used = make(), fresh = make();
    float block[k_block], a[k_block], b[k_block];
    const uint64_t allocations = ae_allocation_count();
    for (int t = 0; t < 600; t++) { /* every pairing of full scale, silence and denormals */
        const float levels[] = {64.0f, 0.0f, 1e-40f, 1e-3f}, far = levels[t / 20 % 4];
        for (int i = 0; i < k_block; i++) block[i] = (i * 7 + t) % 3 ? far : -far;
        ae_far_end_push(used.far, block);
        ae_kalman_predict(used.filter, ae_far_end_spectra(used.far), a);
        for (int i = 0; i < k_block; i++) CHECK(fabsf(a[i]) < 64.0f * 100.0f);
        for (int i = 0; i < k_block; i++) b[i] = (i + t) % 2 ? levels[t / 80 % 4] : -levels[t % 4];
        for (int i = 0; i < k_block; i++) b[i] = ae_clamp(b[i] - a[i], -128.0f, 128.0f);
        ae_kalman_adapt(used.filter, ae_far_end_spectra(used.far), b);
        for (int k = 0; k < k_bins; k++) CHECK(isfinite(ae_kalman_misadjustment(used.filter)[k]));
        if (t % 50 == 0) ae_kalman_doubt(used.filter, 0.1f);
    }
    ae_far_end_reset(used.far);
    ae_kalman_reset(used.filter);
    for (int t = 0; t < 30; t++) {
        step(&used, 1e-3f);
        step(&fresh, 1e-3f);
        CHECK(used.error_power == fresh.error_power);
        CHECK(memcmp(ae_kalman_misadjustment(used.filter), ae_kalman_misadjustment(fresh.filter),
                     sizeof(float) * k_bins) == 0);
    }
    CHECK(ae_allocation_count() == allocations);
    destroy(&used);
    destroy(&fresh);
}

/* A path of 24 dB, which no room has: the filter restarts and says so. So it does with a NaN. */
static void test_bounds_are_kept(void)
{
    rig self = make();
    float far[k_block], echo[k_block], error[k_block];
    int restarts = 0, after_nan = 0;
    for (int b = 0; b < 2000 && restarts == 0; b++) {
        for (int i = 0; i < k_block; i++) far[i] = 1e-2f * ae_random(&self.seed);
        ae_far_end_push(self.far, far);
        ae_kalman_predict(self.filter, ae_far_end_spectra(self.far), echo);
        for (int i = 0; i < k_block; i++) error[i] = 16.0f * far[i] - echo[i];
        restarts += ae_kalman_adapt(self.filter, ae_far_end_spectra(self.far), error);
    }
    CHECK(restarts > 0);
    for (int b = 0; b < 200; b++) {
        for (int i = 0; i < k_block; i++) error[i] = b == 0 ? NAN : 0.0f;
        after_nan += ae_kalman_adapt(self.filter, ae_far_end_spectra(self.far), error);
    }
    CHECK(after_nan > 0);
    ae_kalman_predict(self.filter, ae_far_end_spectra(self.far), echo);
    for (int i = 0; i < k_block; i++) CHECK(isfinite(echo[i]));
    destroy(&self);
}

/* What one filter has learned, another goes on with to the bit; what no filter comes to is unsound,
 * and judging it changes nothing. */
static void test_a_state_goes_from_filter_to_filter(void)
{
    enum { k_floats = 3 * k_partitions * k_bins };
    rig one = make(), other = make();
    erle_db(&one, 75, 1e-4f);
    float state[k_floats], again[k_floats], bad[k_floats], a[k_block], b[k_block];
    CHECK(ae_kalman_state_floats(one.filter) == k_floats);
    ae_kalman_write_state(one.filter, state);
    static const struct {
        int at;
        float value;
    } wrong[] = {{3, NAN},
                 {k_bins + 3, INFINITY},
                 {2 * k_bins, -1e-9f},
                 {2 * k_bins, 1e5f},
                 {k_floats - 1, NAN}};
    for (int i = 0; i < 5; i++) {
        memcpy(bad, state, sizeof bad);
        bad[wrong[i].at] = wrong[i].value;
        CHECK(!ae_kalman_state_is_sound(one.filter, bad));
    }
    memcpy(bad, state, sizeof bad);
    for (int k = 0; k < k_bins; k++) bad[k] = 40.0f; /* an impulse that is 32 dB loud */
    CHECK(!ae_kalman_state_is_sound(one.filter, bad));
    CHECK(ae_kalman_state_is_sound(other.filter, state));
    ae_kalman_write_state(one.filter, again);
    CHECK(memcmp(state, again, sizeof state) == 0);
    ae_kalman_read_state(other.filter, state);
    ae_kalman_predict(one.filter, ae_far_end_spectra(one.far), a);
    ae_kalman_predict(other.filter, ae_far_end_spectra(one.far), b);
    CHECK(memcmp(a, b, sizeof a) == 0);
    destroy(&one);
    destroy(&other);
}

int main(void)
{
    test_create_checks_every_field();
    test_a_state_goes_from_filter_to_filter();
    test_a_known_path_is_identified();
    test_uncertainty_near_end_and_a_new_path();
    test_a_shift_keeps_the_path_in_place();
    test_reset_is_new_and_bad_weather();
    test_bounds_are_kept();
    return AE_TEST_RESULT();
}
