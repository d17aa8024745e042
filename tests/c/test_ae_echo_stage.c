/* Truth: known echoes and near ends, by themselves, through an echo filter. */
#include "ae_echo_stage.h"

#include "ae_echo_filter.h"
#include "ae_math.h"
#include "ae_stft.h"
#include "ae_test.h"

#include <stdlib.h>

enum { k_max_hop = 960, k_max_bins = 2049, k_channels = 2 };

static ae_echo_stage_config config_of(int rate, int channels)
{
    const int hop = ae_block_frames(rate);
    return (ae_echo_stage_config){rate, channels, hop, (int)(3.2f * (float)hop + 0.5f)};
}

/* ---- a talker, an echo path, the filter and the stage ---- */

typedef struct {
    int rate, hop, bins;
    ae_echo_filter *filter;
    ae_stft *stft;
    ae_echo_stage *stage;
    float *path, *past; /* 120 ms of room; the far end, newest last */
    int taps;
    uint32_t seed, near_seed;
    float low;
    int at;
    float gain[k_max_bins];
    double capture_power, error_power, out_power; /* sums */
} rig;

static void make(rig *self, int rate)
{
    *self = (rig){.rate = rate, .hop = ae_block_frames(rate), .seed = 5, .near_seed = 77};
    const ae_echo_filter_config filter = ae_echo_filter_default_config(rate);
    const ae_echo_stage_config stage = config_of(rate, 1);
    const ae_stft_config stft = {stage.hop_frames, stage.window_frames};
    CHECK(ae_echo_filter_create(&self->filter, &filter) == AE_OK);
    CHECK(ae_echo_stage_create(&self->stage, &stage) == AE_OK);
    CHECK(ae_stft_create(&self->stft, &stft) == AE_OK);
    self->bins = ae_stft_bins(self->stft);
    self->taps = rate * 120 / 1000;
    self->path = calloc((size_t)self->taps, sizeof(float));
    self->past = calloc((size_t)(self->taps + self->hop), sizeof(float));
    uint32_t seed = 3;
    for (int j = rate / 100; j < self->taps; j++)
        self->path[j] = 0.1f * sqrtf(16000.0f / (float)rate) * ae_random(&seed) *
                        expf(-6.0f * (float)j / (float)self->taps);
    self->path[rate / 100] = 0.4f;
}

static void destroy(rig *self)
{
    ae_echo_filter_destroy(self->filter);
    ae_echo_stage_destroy(self->stage);
    ae_stft_destroy(self->stft);
    free(self->path);
    free(self->past);
}

/* Syllables of coloured noise: a crude talker. */
static float talk(const rig *self, int i, float *low, uint32_t *seed)
{
    const int syllable = self->rate / 5;
    *low += 0.4f * (ae_random(seed) - *low);
    return *low * sinf(k_ae_pi * (float)((self->at + i) % syllable) / (float)syllable);
}

/* Syllables of a voice: twenty harmonics of 140 Hz. What the net was trained to keep is a near end
 * with a pitch; noise in the same band it may take for echo. */
static float speak(const rig *self, int i)
{
    const int syllable = self->rate / 5, at = (self->at + i) % self->rate;
    const float phase = 2.0f * k_ae_pi * 140.0f * (float)at / (float)self->rate;
    float sum = 0.0f;
    for (int h = 1; h <= 20; h++) sum += sinf((float)h * phase) / (float)h;
    return 0.3f * sum * sinf(k_ae_pi * (float)((self->at + i) % syllable) / (float)syllable);
}

/* One hop: the far end's talker through a loudspeaker that saturates at `rail`, the near end's. */
static void step(rig *self, float far_level, float rail, float near_level)
{
    float capture[k_max_hop], error[k_max_hop], out[k_max_hop], re[k_max_bins], im[k_max_bins];
    float *fresh = self->past + self->taps, *planes[2] = {re, im};
    float far[k_max_hop];
    memmove(self->past, self->past + self->hop, sizeof(float) * (size_t)self->taps);
    for (int i = 0; i < self->hop; i++) {
        far[i] = far_level * talk(self, i, &self->low, &self->seed);
        fresh[i] = rail * tanhf(far[i] / rail);
    }
    for (int i = 0; i < self->hop; i++) {
        float sum = near_level > 0.0f ? near_level * speak(self, i) : 0.0f;
        for (int j = 0; j < self->taps; j++) sum += self->path[j] * fresh[i - j];
        capture[i] = sum + 1e-5f * ae_random(&self->near_seed);
    }
    self->at += self->hop;
    ae_echo_filter_process(self->filter, capture, (const float *[]){far}, error);
    const ae_echo_view *view = ae_echo_filter_view(self->filter);
    ae_stft_analyse(self->stft, error, re, im);
    float taken[k_max_bins];
    ae_echo_stage_update(self->stage, &view, &planes[0], &planes[1], self->gain, taken);
    for (int k = 0; k < self->bins; k++) CHECK(taken[k] >= 0.0f && isfinite(taken[k]));
    for (int k = 0; k < self->bins; k++) {
        CHECK(self->gain[k] >= 0.0f && self->gain[k] <= 1.0f);
        re[k] *= self->gain[k];
        im[k] *= self->gain[k];
    }
    ae_stft_synthesise(self->stft, re, im, out);
    self->capture_power += (double)ae_energy(capture, self->hop);
    self->error_power += (double)ae_energy(error, self->hop);
    self->out_power += (double)ae_energy(out, self->hop);
}

typedef struct {
    double filter_db, both_db; /* how far error and output lie below the capture */
} reduction;

static reduction run(rig *self, int hops, float far_level, float rail, float near_level)
{
    self->capture_power = self->error_power = self->out_power = 1e-12;
    for (int t = 0; t < hops; t++) step(self, far_level, rail, near_level);
    return (reduction){10.0 * log10(self->capture_power / self->error_power),
                       10.0 * log10(self->capture_power / self->out_power)};
}

static void test_create_checks_every_field(void)
{
    const ae_echo_stage_config bad[] = {{7999, 1, 160, 512},  {96001, 1, 160, 512},
                                        {16000, 0, 160, 512}, {16000, 9, 160, 512},
                                        {16000, 1, 3, 512},   {16000, 1, 160, 319}};
    for (int i = 0; i < 6; i++) {
        ae_echo_stage *self = (ae_echo_stage *)&bad;
        CHECK(ae_echo_stage_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_echo_stage_destroy(NULL);
}

/* Echo alone, from a loudspeaker that bends it so that the filter cannot do it all. */
static void test_echo_alone_is_taken_away(void)
{
    static const int rates[] = {8000, 16000, 48000};
    for (int r = 0; r < 3; r++) {
        rig self;
        make(&self, rates[r]);
        run(&self, 300, 0.8f, 0.3f, 0.0f);
        const reduction late = run(&self, 200, 0.8f, 0.3f, 0.0f);
        printf("%d Hz, echo alone: filter %.1f dB, with the stage %.1f dB, presence %.3f\n",
               rates[r], late.filter_db, late.both_db,
               (double)ae_echo_stage_near_end_presence(self.stage));
        CHECK(late.both_db > fmin(late.filter_db + 15.0, 44.0)); /* noise is 60 dB below the echo */
        CHECK(ae_echo_stage_near_end_presence(self.stage) < 0.3f);
        destroy(&self);
    }
}

/* Before any far end, and 0.3 s and the time of opening behind one, the near end passes as it is.
 */
static void test_the_near_end_alone_passes(void)
{
    static const int rates[] = {8000, 16000, 48000};
    for (int r = 0; r < 3; r++) {
        rig self;
        make(&self, rates[r]);
        run(&self, 1, 0.0f, 1.0f, 0.3f); /* the transform's latency */
        const reduction before = run(&self, 100, 0.0f, 1.0f, 0.3f);
        CHECK_NEAR(before.both_db, 0.0, 0.1);
        CHECK_NEAR(ae_echo_stage_near_end_presence(self.stage), 1.0, 1e-5);
        run(&self, 200, 0.5f, 1.0f, 0.0f);
        while (ae_echo_filter_view(self.filter)->far_active) run(&self, 1, 0.0f, 1.0f, 0.3f);
        run(&self, 30 + 20, 0.0f, 1.0f, 0.3f); /* open to 1 % after 20 hops */
        for (int k = 0; k < self.bins; k++) CHECK(self.gain[k] > 0.98f);
        run(&self, 20, 0.0f, 1.0f, 0.3f);
        CHECK_NEAR(run(&self, 100, 0.0f, 1.0f, 0.3f).both_db, 0.0, 0.1);
        destroy(&self);
    }
}

/* A near end far above what is left of the echo gets through, and is seen. */
static void test_the_near_end_passes_beside_an_echo(void)
{
    rig self;
    make(&self, 16000);
    run(&self, 300, 0.1f, 1.0f, 0.0f);
    self.capture_power = self.out_power = 1e-12;
    const reduction both = run(&self, 200, 0.1f, 1.0f, 0.5f);
    printf("near end 20 dB above the echo: %.1f dB taken away\n", both.both_db);
    CHECK(both.both_db < 3.0);
    destroy(&self);
}

/* ---- views made by hand ---- */

typedef struct {
    ae_echo_stage *stage;
    ae_stft *stft[k_channels];
    int channels, hop, bins;
    uint32_t seed;
    float echo[k_channels][k_max_hop], prior_echo[k_channels][k_max_hop];
    float far_end[k_max_hop], capture[k_channels][k_max_hop];
    float misadjustment[k_max_hop + 1];
    float re[k_channels][k_max_bins], im[k_channels][k_max_bins], gain[k_max_bins];
    ae_echo_view view[k_channels];
} bench;

static void set_up(bench *self, int rate, int channels)
{
    const ae_echo_stage_config config = config_of(rate, channels);
    const ae_stft_config stft = {config.hop_frames, config.window_frames};
    *self = (bench){.channels = channels, .hop = config.hop_frames, .seed = 5};
    CHECK(ae_echo_stage_create(&self->stage, &config) == AE_OK);
    for (int c = 0; c < channels; c++) {
        CHECK(ae_stft_create(&self->stft[c], &stft) == AE_OK);
        self->view[c] = (ae_echo_view){.frames = self->hop,
                                       .capture = self->capture[c],
                                       .far_end = self->far_end,
                                       .echo = self->echo[c],
                                       .prior_echo = self->prior_echo[c],
                                       .misadjustment_power = self->misadjustment,
                                       .misadjustment_bins = self->hop + 1,
                                       .far_active = 1,
                                       .lag_found = 1,
                                       .trust = 1.0f};
    }
    self->bins = ae_stft_bins(self->stft[0]);
}

static void tear_down(bench *self)
{
    ae_echo_stage_destroy(self->stage);
    for (int c = 0; c < self->channels; c++) ae_stft_destroy(self->stft[c]);
}

static void update(bench *self)
{
    const ae_echo_view *views[k_channels] = {&self->view[0], &self->view[1]};
    float *re[k_channels] = {self->re[0], self->re[1]},
          *im[k_channels] = {self->im[0], self->im[1]};
    for (int c = 0; c < self->channels; c++) {
        float error[k_max_hop];
        for (int i = 0; i < self->hop; i++) error[i] = self->capture[c][i] - self->echo[c][i];
        ae_stft_analyse(self->stft[c], error, re[c], im[c]);
    }
    float taken[k_max_bins];
    ae_echo_stage_update(self->stage, views, re, im, self->gain, taken);
}

/* The far end, its echo 6 dB below, of which a tenth is left, and the near end, alike in every
 * channel but for its level. */
static void hear(bench *self, float far_level, float near_level, const float *levels)
{
    for (int i = 0; i < self->hop; i++) {
        self->far_end[i] = far_level * ae_random(&self->seed);
        const float near = near_level * ae_random(&self->seed);
        for (int c = 0; c < self->channels; c++) {
            self->echo[c][i] = levels[c] * 0.45f * self->far_end[i];
            self->prior_echo[c][i] = levels[c] * 0.4f * self->far_end[i];
            self->capture[c][i] = levels[c] * (0.5f * self->far_end[i] + near);
        }
    }
    update(self);
}

static const float k_alike[k_channels] = {1.0f, 1.0f};

/* While nobody knows whether it is echo, nothing gets through louder than -50 dB. */
static void test_the_unheard_is_held_back(void)
{
    bench self;
    set_up(&self, 48000, 2);
    for (int t = 0; t < 120; t++) {
        self.view[1].unheard = t < 60; /* one channel is enough */
        hear(&self, 0.01f, 0.3f, k_alike);
        float most = 0.0f;
        for (int k = 0; k < self.bins; k++) most = fmaxf(most, self.gain[k]);
        CHECK(t >= 60 || most <= 0.00301f);
        CHECK(t >= 60 || ae_echo_stage_near_end_presence(self.stage) < 1e-3f);
        CHECK(t < 70 || most > 0.1f); /* a near end far above the echo passes again */
    }
    tear_down(&self);
}

/* The spectra change by a share of the last learning step, between 0 and 1, the same in all
 * channels. */
static void test_the_mix_is_a_share_of_the_step(void)
{
    static const float levels[k_channels] = {1.0f, 0.25f};
    bench self, other;
    set_up(&self, 16000, 2);
    set_up(&other, 16000, 2);
    ae_stft *step_stft = NULL;
    const ae_echo_stage_config config = config_of(16000, 1);
    CHECK(ae_stft_create(&step_stft, &(ae_stft_config){config.hop_frames, config.window_frames}) ==
          AE_OK);
    double changed = 0.0;
    for (int t = 0; t < 60; t++) {
        static float before_re[k_max_bins], before_im[k_max_bins], re[k_max_bins], im[k_max_bins];
        float step_signal[k_max_hop], error[k_max_hop];
        hear(&self, 0.3f, 0.2f, levels);
        for (int i = 0; i < self.hop; i++) {
            step_signal[i] = self.echo[0][i] - self.prior_echo[0][i];
            error[i] = self.capture[0][i] - self.echo[0][i];
        }
        ae_stft_analyse(step_stft, step_signal, re, im);
        ae_stft_analyse(other.stft[0], error, before_re, before_im);
        for (int k = 0; k < self.bins; k++) {
            const float dr = self.re[0][k] - before_re[k], di = self.im[0][k] - before_im[k];
            const float power = re[k] * re[k] + im[k] * im[k];
            const float share = (dr * re[k] + di * im[k]) / (power + 1e-12f);
            if (power < 1e-3f) continue;
            CHECK(share > -1e-3f && share < 1.001f);
            CHECK_NEAR(dr, share * re[k], 1e-4);
            CHECK_NEAR(di, share * im[k], 1e-4);
            CHECK_NEAR(self.re[1][k], 0.25 * (double)self.re[0][k], 1e-4);
            changed += (double)share;
        }
    }
    CHECK(changed > 0.0);
    ae_stft_destroy(step_stft);
    tear_down(&self);
    tear_down(&other);
}

/* Two channels alike are one channel; of two that differ, both get the same gain. */
static void test_channels_share_one_gain(void)
{
    bench one, two;
    set_up(&one, 16000, 1);
    set_up(&two, 16000, 2);
    for (int t = 0; t < 100; t++) {
        hear(&one, 0.3f, t > 50 ? 0.3f : 0.0f, k_alike);
        hear(&two, 0.3f, t > 50 ? 0.3f : 0.0f, k_alike);
        for (int k = 0; k < one.bins; k++) {
            CHECK_NEAR(two.gain[k], one.gain[k], 1e-4);
            CHECK_NEAR(two.re[1][k], one.re[0][k], 1e-4);
        }
    }
    CHECK_NEAR(ae_echo_stage_near_end_presence(two.stage),
               ae_echo_stage_near_end_presence(one.stage), 1e-4);
    tear_down(&one);
    tear_down(&two);
}

/* What is told of echo and far end is their power by a transform of its own, over the channels; of
 * a far end without an echo path nothing. */
static void test_powers_are_those_of_echo_and_far_end(void)
{
    static const float levels[k_channels] = {1.0f, 0.25f};
    const float scale = 0.125f;
    bench self;
    set_up(&self, 48000, 2);
    const ae_echo_stage_config config = config_of(48000, 1);
    const ae_stft_config shape = {config.hop_frames, config.window_frames};
    ae_stft *stft[k_channels + 1] = {NULL};
    for (int i = 0; i <= k_channels; i++) CHECK(ae_stft_create(&stft[i], &shape) == AE_OK);
    for (int t = 0; t < 20; t++) {
        static float re[k_channels + 1][k_max_bins], im[k_channels + 1][k_max_bins];
        static float echo[k_max_bins], far_end[k_max_bins];
        const double paths = t < 10 ? 2.0 : 1.0;
        self.view[1].trust = t < 10 ? 1.0f : 0.0f;
        hear(&self, 0.3f, 0.2f, levels);
        for (int c = 0; c < k_channels; c++) ae_stft_analyse(stft[c], self.echo[c], re[c], im[c]);
        ae_stft_analyse(stft[k_channels], self.far_end, re[k_channels], im[k_channels]);
        ae_echo_stage_powers(self.stage, scale, echo, far_end);
        for (int k = 0; k < self.bins; k++) {
            double of[k_channels + 1];
            for (int i = 0; i <= k_channels; i++)
                of[i] = (double)re[i][k] * (double)re[i][k] + (double)im[i][k] * (double)im[i][k];
            CHECK_NEAR(echo[k], 0.125 * (of[0] + of[1]), 1e-4 * (1.0 + of[0]));
            CHECK_NEAR(far_end[k], 0.125 * paths * of[2], 1e-4 * (1.0 + of[2]));
        }
    }
    for (int i = 0; i <= k_channels; i++) ae_stft_destroy(stft[i]);
    tear_down(&self);
}

/* Bad signals in every plane, NaN and infinity too: 100 ms later all is finite; reset is new; two
 * objects side by side do not disturb each other; nothing is allocated. */
static void test_bad_weather_and_reset(void)
{
    static const float levels[] = {0.0f, 64.0f, 1e-40f, 1e-3f, NAN, INFINITY, 1e18f};
    bench used, fresh, other;
    set_up(&used, 16000, 2);
    set_up(&fresh, 16000, 2);
    set_up(&other, 16000, 2);
    const uint64_t allocations = ae_allocation_count();
    for (int t = 0; t < 7 * 7 * 24; t++) {
        const float first = levels[t / 24 % 7], second = levels[t / 168];
        const int is_bad = t % 24 < 12;
        if (is_bad) {
            for (int i = 0; i < used.hop; i++) {
                used.far_end[i] = i % 3 ? first : -first;
                for (int c = 0; c < 2; c++) {
                    used.echo[c][i] = i % 2 ? first : second;
                    used.prior_echo[c][i] = i % 5 ? second : -first;
                    used.capture[c][i] = i % 7 ? second : -second;
                }
            }
            ae_fill(used.misadjustment, first * first, used.hop + 1);
            used.view[0].trust = second;
            update(&used);
        } else {
            ae_fill(used.misadjustment, 0.0f, used.hop + 1);
            used.view[0].trust = 1.0f;
            hear(&used, 0.3f, 0.3f, k_alike);
        }
        for (int k = 0; k < used.bins; k++) {
            CHECK(used.gain[k] >= 0.0f && used.gain[k] <= 1.0f);
            CHECK(t % 24 < 22 || (isfinite(used.re[0][k]) && isfinite(used.im[1][k])));
        }
        CHECK(t % 24 < 22 || ae_echo_stage_near_end_presence(used.stage) <= 1.0f);
    }
    ae_echo_stage_reset(used.stage);
    for (int c = 0; c < 2; c++) ae_stft_reset(used.stft[c]);
    used.seed = fresh.seed;
    CHECK(ae_echo_stage_near_end_presence(used.stage) == 1.0f);
    for (int t = 0; t < 60; t++) {
        hear(&used, t < 30 ? 0.3f : 0.0f, 0.3f, k_alike);
        hear(&other, 0.5f, 0.0f, k_alike);
        hear(&fresh, t < 30 ? 0.3f : 0.0f, 0.3f, k_alike);
        CHECK(memcmp(used.gain, fresh.gain, sizeof used.gain) == 0);
        CHECK(memcmp(used.re, fresh.re, sizeof used.re) == 0);
    }
    CHECK(ae_allocation_count() == allocations);
    tear_down(&used);
    tear_down(&fresh);
    tear_down(&other);
}

int main(void)
{
    test_create_checks_every_field();
    test_echo_alone_is_taken_away();
    test_the_near_end_alone_passes();
    test_the_near_end_passes_beside_an_echo();
    test_the_unheard_is_held_back();
    test_the_mix_is_a_share_of_the_step();
    test_channels_share_one_gain();
    test_powers_are_those_of_echo_and_far_end();
    test_bad_weather_and_reset();
    return AE_TEST_RESULT();
}
