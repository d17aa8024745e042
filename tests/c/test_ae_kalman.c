/* Truth: known FIR echo paths, one or two, which the filter must identify from noise. */
#include "ae_kalman.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_block = 80, k_fft = 160, k_partitions = 6, k_bins = k_fft / 2 + 1, k_taps = 400 };
static const ae_kalman_config k_config = {.channels = 1,
                                          .block_frames = k_block,
                                          .fft_size = k_fft,
                                          .partitions = k_partitions,
                                          .first_partitions = k_partitions,
                                          .full_partitions = k_partitions,
                                          .low_bins = k_fft / 2 + 1,
                                          .memory = 0.9999f};

typedef struct {
    ae_kalman *filter;
    ae_far_end *far;
    int channels;
    float pan[2]; /* share of one common signal in each channel */
    float own;    /* share of a signal of its own in each */
    uint32_t seed;
    float past[2][k_taps + k_block]; /* far end, oldest first */
    float path[2][k_taps];
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

static rig make_long(int channels, int partitions)
{
    ae_kalman_config config = k_config;
    const ae_far_end_config far = {.channels = channels,
                                   .block_frames = k_block,
                                   .fft_size = k_fft,
                                   .partitions = partitions,
                                   .max_delay_frames = 400};
    rig self = {.channels = channels, .pan = {1.0f, 0.0f}, .seed = 11};
    config.channels = channels;
    config.partitions = config.first_partitions = config.full_partitions = partitions;
    CHECK(ae_kalman_create(&self.filter, &config) == AE_OK);
    CHECK(ae_far_end_create(&self.far, &far) == AE_OK);
    make_path(self.path[0], 3);
    make_path(self.path[1], 55);
    return self;
}

static rig make_for(int channels) { return make_long(channels, k_partitions); }

static rig make(void) { return make_for(1); }

static void destroy(rig *self)
{
    ae_kalman_destroy(self->filter);
    ae_far_end_destroy(self->far);
}

/* One block of far end through the path, with `noise` beside it; sums up the powers. */
static void step(rig *self, float noise)
{
    float common[k_block], echo[k_block], error[k_block];
    float *fresh[2] = {self->past[0] + k_taps, self->past[1] + k_taps};
    for (int i = 0; i < k_block; i++) common[i] = 0.3f * ae_random(&self->seed);
    for (int c = 0; c < self->channels; c++) {
        memmove(self->past[c], self->past[c] + k_block, sizeof(float) * k_taps);
        for (int i = 0; i < k_block; i++) {
            fresh[c][i] = self->pan[c] * common[i];
            if (self->own > 0.0f) fresh[c][i] += self->own * 0.3f * ae_random(&self->seed);
        }
    }
    ae_far_end_push(self->far, (const float *const *)fresh);
    ae_kalman_predict(self->filter, ae_far_end_spectra(self->far), echo);
    for (int i = 0; i < k_block; i++) {
        float truth = 0.0f;
        for (int c = 0; c < self->channels; c++)
            for (int j = 0; j < k_taps; j++) truth += self->path[c][j] * fresh[c][i - j];
        const float capture = truth + noise * ae_random(&self->seed);
        error[i] = capture - echo[i];
        self->capture_power += capture * capture;
        self->error_power += error[i] * error[i];
        self->misadjustment_power += (truth - echo[i]) * (truth - echo[i]);
    }
    ae_kalman_adapt(self->filter, ae_far_end_spectra(self->far), error, NULL);
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
    ae_kalman_config bad[15];
    for (int i = 0; i < 15; i++) bad[i] = k_config;
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
    bad[11].channels = 0;
    bad[12].channels = 3;
    bad[13].first_partitions = 0;
    bad[14].first_partitions = k_partitions + 1;
    for (int i = 0; i < 15; i++) {
        ae_kalman *self = (ae_kalman *)&bad;
        CHECK(ae_kalman_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_kalman_destroy(NULL);
}

/* An impulse through one channel of the filter shows the path it has found. */
static float misalignment_db(rig *self, int channel)
{
    float block[k_block] = {1.0f}, quiet[k_block] = {0.0f};
    float found[k_block], wrong = 0.0f, right = 0.0f;
    ae_far_end_reset(self->far);
    for (int p = 0; p < k_partitions; p++) {
        ae_far_end_push(self->far, channel == 0 ? (const float *[]){block, quiet}
                                                : (const float *[]){quiet, block});
        block[0] = 0.0f;
        ae_kalman_predict(self->filter, ae_far_end_spectra(self->far), found);
        for (int i = 0; i < k_block; i++) {
            const int tap = p * k_block + i;
            const float truth = tap < k_taps ? self->path[channel][tap] : 0.0f;
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
    CHECK(misalignment_db(&self, 0) < -45.0f);
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
    make_path(self.path[0], 77);
    CHECK(erle_db(&self, 10, 1e-2f) < 6.0f);
    erle_db(&self, 400, 1e-2f);
    const float again = erle_db(&self, 100, 1e-2f);
    CHECK(again > before - 6.0f);
    destroy(&self);
}

/* Two signals through two paths: each path is found. */
static void test_two_paths_are_told_apart(void)
{
    rig self = make_for(2);
    self.pan[0] = 0.0f;
    self.own = 1.0f;
    erle_db(&self, 500, 1e-4f);
    CHECK(erle_db(&self, 100, 1e-4f) > 40.0f);
    CHECK(misalignment_db(&self, 0) < -40.0f && misalignment_db(&self, 1) < -40.0f);
    destroy(&self);
}

/* The same signal in both channels is the business of one path, the sum: as quick as one channel,
 * to within 1 dB, where both are constrained equally often, every 18 blocks. */
static void test_one_signal_in_both_channels_is_one_path(void)
{
    rig two = make_long(2, 18), one = make_long(1, 18);
    two.pan[1] = 1.0f;
    for (int i = 0; i < k_taps; i++) one.path[0][i] = two.path[0][i] + two.path[1][i];
    for (int t = 0; t < 12; t++) {
        const float mono_db = erle_db(&one, 25, 1e-3f), stereo_db = erle_db(&two, 25, 1e-3f);
        CHECK(stereo_db > mono_db - 1.0f);
    }
    destroy(&two);
    destroy(&one);
}

/* A talker moves from one side to the other. The filter has been shown one mixture of the paths
 * and knows that it has: most of the misadjustment that comes is expected, so the other mixture is
 * learned in 60 blocks, and the first one is still known. */
static void test_a_panned_talker_who_moves_is_expected(void)
{
    rig self = make_for(2);
    self.pan[0] = 0.9f;
    self.pan[1] = 0.4f;
    erle_db(&self, 400, 1e-2f);
    const float settled_db = erle_db(&self, 100, 1e-2f);
    self.pan[0] = 0.4f;
    self.pan[1] = 0.9f;
    erle_db(&self, 6, 1e-2f); /* one tail */
    CHECK_NEAR(ae_db_from_power(self.expected_power), ae_db_from_power(self.misadjustment_power),
               10.0f);
    erle_db(&self, 60, 1e-2f);
    const float later_db = erle_db(&self, 20, 1e-2f);
    printf("panned talker: %.1f dB, %.1f dB 60 blocks after the move\n", (double)settled_db,
           (double)later_db);
    CHECK(later_db > settled_db - 6.0f);
    self.pan[0] = 0.9f; /* and back */
    self.pan[1] = 0.4f;
    CHECK(erle_db(&self, 10, 1e-2f) > settled_db - 6.0f);
    destroy(&self);
}

/* A far end that is silent in blocks 6 n - 1 and 6 n, so that the partition whose turn it is to be
 * constrained holds silence, and with it says nothing about the echo. */
static void fill_gapped(rig *self, int at, float *const *far)
{
    for (int c = 0; c < self->channels; c++)
        for (int i = 0; i < k_block; i++)
            far[c][i] = at % k_partitions == 0 || at % k_partitions == k_partitions - 1
                            ? 0.0f
                            : 0.3f * ae_random(&self->seed);
}

/* The echo estimate after learning is what another prediction gives, to rounding where the
 * constraint has no say; and asking for it changes nothing. */
static void test_the_posterior_echo_is_another_prediction(int channels)
{
    rig self = make_for(channels), other = make_for(channels);
    float blocks[2][k_block], *far[2] = {blocks[0], blocks[1]};
    float prior[k_block], error[k_block], posterior[k_block], again[k_block];
    float apart = 0.0f, moved = 0.0f;
    for (int t = 0; t < 200; t++) {
        fill_gapped(&self, t, far);
        ae_far_end_push(self.far, (const float *const *)far);
        ae_kalman_predict(self.filter, ae_far_end_spectra(self.far), prior);
        ae_kalman_predict(other.filter, ae_far_end_spectra(self.far), again);
        CHECK(memcmp(prior, again, sizeof prior) == 0);
        for (int i = 0; i < k_block; i++) /* an echo, and a near end as loud */
            error[i] = 0.5f * far[0][i] - prior[i] + 0.15f * ae_random(&self.seed);
        ae_kalman_adapt(self.filter, ae_far_end_spectra(self.far), error, posterior);
        ae_kalman_adapt(other.filter, ae_far_end_spectra(self.far), error, NULL);
        ae_kalman_predict(self.filter, ae_far_end_spectra(self.far), again);
        ae_kalman_predict(other.filter, ae_far_end_spectra(self.far), prior); /* the same state */
        for (int i = 0; i < k_block; i++) {
            apart += (posterior[i] - again[i]) * (posterior[i] - again[i]);
            moved += error[i] * error[i];
        }
    }
    printf("%d far, posterior echo: %.1f dB below the error\n", channels,
           (double)ae_db_from_power(moved / apart));
    CHECK(apart < 1e-9f * moved);
    destroy(&self);
    destroy(&other);
}

/* With noise in every block the constraint has its say: then it is off by far less than it moves.
 */
static void test_the_posterior_echo_is_near_one_under_constraint(void)
{
    rig self = make();
    float prior[k_block], posterior[k_block], again[k_block], error[k_block], far[k_block];
    float apart = 0.0f, moved = 0.0f;
    for (int t = 0; t < 200; t++) {
        for (int i = 0; i < k_block; i++) far[i] = 0.3f * ae_random(&self.seed);
        ae_far_end_push(self.far, (const float *[]){far});
        ae_kalman_predict(self.filter, ae_far_end_spectra(self.far), prior);
        for (int i = 0; i < k_block; i++)
            error[i] = 0.5f * far[i] - prior[i] + 0.15f * ae_random(&self.seed);
        ae_kalman_adapt(self.filter, ae_far_end_spectra(self.far), error, posterior);
        ae_kalman_predict(self.filter, ae_far_end_spectra(self.far), again);
        for (int i = 0; i < k_block; i++) {
            apart += (posterior[i] - again[i]) * (posterior[i] - again[i]);
            moved += (posterior[i] - prior[i]) * (posterior[i] - prior[i]);
        }
    }
    printf("under constraint: %.1f dB below what it moves\n",
           (double)ae_db_from_power(moved / apart));
    CHECK(apart < 0.1f * moved);
    destroy(&self);
}

/* When the far end's delay grows by a block and the filter is shifted, the estimate stays. */
static void test_a_shift_keeps_the_path_in_place(int channels)
{
    rig self = make_for(channels);
    float before[k_block], after[k_block];
    self.pan[1] = 0.5f;
    for (int c = 0; c < 2; c++) { /* room for the shift */
        memmove(self.path[c] + 2 * k_block, self.path[c], sizeof(float) * (k_taps - 2 * k_block));
        memset(self.path[c], 0, sizeof(float) * 2 * k_block);
    }
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

static void test_reset_is_new_and_bad_weather(int channels)
{
    rig used = make_for(channels), fresh = make_for(channels);
    float block[k_block], other[k_block], a[k_block], b[k_block];
    used.own = fresh.own = 0.5f;
    const uint64_t allocations = ae_allocation_count();
    for (int t = 0; t < 600; t++) { /* every pairing of full scale, silence and denormals */
        const float levels[] = {64.0f, 0.0f, 1e-40f, 1e-3f}, far = levels[t / 20 % 4];
        for (int i = 0; i < k_block; i++) block[i] = (i * 7 + t) % 3 ? far : -far;
        for (int i = 0; i < k_block; i++) other[i] = t / 160 % 2 ? block[i] : -levels[t / 40 % 4];
        ae_far_end_push(used.far, (const float *[]){block, other});
        ae_kalman_predict(used.filter, ae_far_end_spectra(used.far), a);
        for (int i = 0; i < k_block; i++) CHECK(fabsf(a[i]) < 64.0f * 100.0f);
        for (int i = 0; i < k_block; i++) b[i] = (i + t) % 2 ? levels[t / 80 % 4] : -levels[t % 4];
        for (int i = 0; i < k_block; i++) b[i] = ae_clamp(b[i] - a[i], -128.0f, 128.0f);
        ae_kalman_adapt(used.filter, ae_far_end_spectra(used.far), b, NULL);
        for (int k = 0; k < k_bins; k++) CHECK(isfinite(ae_kalman_misadjustment(used.filter)[k]));
        if (t % 50 == 0) ae_kalman_doubt(used.filter, 0.1f);
        if (t % 70 == 0) ae_kalman_shift(used.filter, t % 140 == 0 ? 1 : -1);
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
        ae_far_end_push(self.far, (const float *[]){far});
        ae_kalman_predict(self.filter, ae_far_end_spectra(self.far), echo);
        for (int i = 0; i < k_block; i++) error[i] = 16.0f * far[i] - echo[i];
        restarts += ae_kalman_adapt(self.filter, ae_far_end_spectra(self.far), error, NULL);
    }
    CHECK(restarts > 0);
    for (int b = 0; b < 200; b++) {
        for (int i = 0; i < k_block; i++) error[i] = b == 0 ? NAN : 0.0f;
        after_nan += ae_kalman_adapt(self.filter, ae_far_end_spectra(self.far), error, NULL);
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

/* So it is with two channels: what is not known of one signal in both stays unknown, and a P12 that
 * no covariance matrix has is unsound. */
static void test_a_state_of_two_channels_keeps_what_is_unknown(void)
{
    enum { k_rows = 2 * k_partitions, k_floats = (3 * k_rows + 2 * k_partitions) * k_bins };
    rig one = make_for(2), other = make_for(2);
    one.pan[1] = 0.7f;
    erle_db(&one, 75, 1e-2f);
    static float state[k_floats], again[k_floats], bad[k_floats];
    CHECK(ae_kalman_state_floats(one.filter) == k_floats);
    ae_kalman_write_state(one.filter, state);
    CHECK(ae_kalman_state_is_sound(other.filter, state));
    ae_kalman_read_state(other.filter, state);
    ae_kalman_write_state(other.filter, again);
    CHECK(memcmp(state, again, sizeof state) == 0);
    const int cross = 3 * k_rows * k_bins;
    static const float wrong[] = {NAN, INFINITY, -1.0f};
    for (int i = 0; i < 3; i++)
        for (int plane = 0; plane < 2; plane++) {
            memcpy(bad, state, sizeof bad);
            bad[cross + plane * k_bins + 7] = wrong[i];
            CHECK(!ae_kalman_state_is_sound(other.filter, bad));
        }
    for (int t = 0; t < 50; t++) { /* both go on alike, through what they expect of each block */
        float blocks[2][k_block], a[k_block], b[k_block], error[k_block];
        for (int i = 0; i < k_block; i++) {
            blocks[0][i] = 0.3f * ae_random(&one.seed);
            blocks[1][i] = 0.7f * blocks[0][i];
        }
        ae_far_end_push(one.far, (const float *[]){blocks[0], blocks[1]});
        ae_kalman_predict(one.filter, ae_far_end_spectra(one.far), a);
        ae_kalman_predict(other.filter, ae_far_end_spectra(one.far), b);
        for (int i = 0; i < k_block; i++) {
            CHECK_NEAR(a[i], b[i], 0.02);
            error[i] = 0.3f * ae_random(&one.seed); /* near end alone */
        }
        ae_kalman_adapt(one.filter, ae_far_end_spectra(one.far), error, NULL);
        ae_kalman_adapt(other.filter, ae_far_end_spectra(one.far), error, NULL);
    }
    const float *said = ae_kalman_misadjustment(one.filter);
    for (int k = 0; k < k_bins; k++) CHECK(said[k] > 0.0f);
    destroy(&one);
    destroy(&other);
}

/* A path as long as all partitions, found with half of them: the rest is seen in the share of the
 * last quarter, and cancelled once the filter has grown. A reset makes it small again. */
static void test_the_tail_grows(int channels)
{
    rig self = make_for(channels);
    ae_kalman_config config = k_config;
    ae_kalman_destroy(self.filter);
    config.channels = channels;
    config.first_partitions = config.full_partitions = k_partitions / 2;
    CHECK(ae_kalman_create(&self.filter, &config) == AE_OK);
    for (int i = 0; i < k_taps; i++) self.path[0][i] += 0.02f * ae_random(&self.seed);
    erle_db(&self, 600, 0.0f);
    const float small_db = erle_db(&self, 200, 0.0f);
    const float share = ae_kalman_tail_share(self.filter);
    ae_kalman_grow(self.filter);
    CHECK(ae_kalman_tail_share(self.filter) == 0.0f);
    erle_db(&self, 600, 0.0f);
    const float grown_db = erle_db(&self, 200, 0.0f);
    printf("%d far, tail: %.1f dB with half of it (share of its end %.4f), %.1f dB with all\n",
           channels, (double)small_db, (double)share, (double)grown_db);
    CHECK(share > 0.002f && share < 0.5f);
    CHECK(small_db < 25.0f && grown_db > small_db + 10.0f);
    ae_kalman_reset(self.filter);
    CHECK(ae_kalman_tail_share(self.filter) == 0.0f); /* nothing learned */
    erle_db(&self, 200, 0.0f);
    CHECK(ae_kalman_tail_share(self.filter) > 0.0f);
    destroy(&self);
}

int main(void)
{
    test_create_checks_every_field();
    test_a_state_goes_from_filter_to_filter();
    test_a_state_of_two_channels_keeps_what_is_unknown();
    test_a_known_path_is_identified();
    test_uncertainty_near_end_and_a_new_path();
    test_two_paths_are_told_apart();
    test_one_signal_in_both_channels_is_one_path();
    test_a_panned_talker_who_moves_is_expected();
    test_the_posterior_echo_is_near_one_under_constraint();
    for (int channels = 1; channels <= 2; channels++) {
        test_the_posterior_echo_is_another_prediction(channels);
        test_a_shift_keeps_the_path_in_place(channels);
        test_the_tail_grows(channels);
        test_reset_is_new_and_bad_weather(channels);
    }
    test_bounds_are_kept();
    return AE_TEST_RESULT();
}
