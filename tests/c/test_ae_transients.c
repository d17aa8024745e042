/* Truths: made strokes, tones and noise whose share of every hop is known. */
#include "ae_transients.h"

#include "ae_fft.h"
#include "ae_math.h"
#include "ae_test.h"

enum { k_most_hop = 960, k_most_points = 700, k_stroke_hops = 25 };
static const float k_noise_power = 1e-6f; /* -60 dBFS */

typedef struct {
    ae_transients *transients;
    ae_transients_config config;
    ae_fft *fft;
    int window, t;
    uint32_t seed;
    float phase;
    float history[4 * k_most_hop], frame[4 * k_most_hop], re[4 * k_most_hop], im[4 * k_most_hop];
    float in[k_most_hop], power[k_most_points], noise[k_most_points], gain[k_most_points];
} rig;

static rig *make(rig *self, int sample_rate_hz)
{
    *self = (rig){.seed = 5};
    const int hop = ae_block_frames(sample_rate_hz);
    self->window = hop * 16 / 5;
    const int size = ae_fft_good_size(self->window);
    const float bin_hz = (float)sample_rate_hz / (float)size;
    const int points = ae_clamp_int((int)(8000.0f / bin_hz), 0, size / 2) + 1;
    self->config = (ae_transients_config){sample_rate_hz, hop, points, bin_hz};
    CHECK(ae_fft_create(&self->fft, size) == AE_OK);
    CHECK(ae_transients_create(&self->transients, &self->config) == AE_OK);
    ae_fill(self->noise, k_noise_power, points);
    return self;
}

static void clear(rig *self)
{
    ae_transients_destroy(self->transients);
    ae_fft_destroy(self->fft);
}

/* One hop of white noise, a tone complex of 150 Hz at `voice`, and the part of a decaying noise
 * burst that began `age` hops ago at `stroke`. */
static void make_hop(rig *self, float voice, float stroke, int age)
{
    const float rate = (float)self->config.sample_rate_hz, hop = (float)self->config.hop_frames;
    for (int i = 0; i < self->config.hop_frames; i++) {
        float value = sqrtf(3.0f * k_noise_power) * ae_random(&self->seed);
        self->phase = fmodf(self->phase + 150.0f / rate, 1.0f);
        for (int h = 1; h <= 20 && voice > 0.0f; h++)
            value += voice / (float)h * sinf(2.0f * k_ae_pi * (float)h * self->phase);
        const float since_s = ((float)age * hop + (float)i - 0.2f * hop) / rate;
        if (since_s >= 0.0f) value += stroke * expf(-since_s / 0.005f) * ae_random(&self->seed);
        self->in[i] = value;
    }
}

static void run_hop(rig *self)
{
    const int hop = self->config.hop_frames, kept = self->window - hop;
    memmove(self->history, self->history + hop, (size_t)kept * sizeof(float));
    ae_copy(self->history + kept, self->in, hop);
    float sum = 0.0f;
    for (int i = 0; i < self->window; i++) {
        const float at = (float)i + 0.5f, rise = (float)kept, fall = (float)hop;
        const float shape = at < rise ? sinf(0.5f * k_ae_pi * at / rise)
                                      : cosf(0.5f * k_ae_pi * (at - rise) / fall);
        self->frame[i] = self->history[i] * shape;
        sum += shape * shape;
    }
    ae_fft_forward(self->fft, self->frame, self->re, self->im);
    for (int k = 0; k < self->config.points; k++)
        self->power[k] = (self->re[k] * self->re[k] + self->im[k] * self->im[k]) / sum;
    const float *in = self->in;
    ae_transients_update(self->transients, &in, 1, self->power, self->noise, 0.1f, 0.0f,
                         self->gain);
    self->t++;
}

/* Mean gain, dB of power, between two frequencies. */
static float mean_gain_db(const rig *self, float low_hz, float high_hz)
{
    double before = 1e-30, after = 1e-30;
    const int end = ae_clamp_int((int)(high_hz / self->config.point_hz), 0, self->config.points);
    for (int k = (int)(low_hz / self->config.point_hz); k < end; k++) {
        before += (double)self->power[k];
        after += (double)(self->power[k] * self->gain[k] * self->gain[k]);
    }
    return (float)(10.0 * log10(after / before));
}

/* A keyboard: a stroke every 250 ms. Returns the mean gain of the strokes' first hop, of the last
 * `judged` ones. */
static float type_strokes(rig *self, int strokes, int judged, float voice, float level,
                          float low_hz, float high_hz)
{
    float sum = 0.0f;
    for (int n = 0; n < strokes; n++)
        for (int age = 0; age < k_stroke_hops; age++) {
            make_hop(self, voice, level, age);
            run_hop(self);
            if (n >= strokes - judged && age == 0)
                sum += mean_gain_db(self, low_hz, high_hz) / (float)judged;
        }
    return sum;
}

static void settle(rig *self, int hops)
{
    for (int t = 0; t < hops; t++) {
        make_hop(self, 0.0f, 0.0f, 0);
        run_hop(self);
    }
}

static void test_create_checks_every_field(void)
{
    const ae_transients_config bad[] = {{7999, 80, 257, 31.25f},     {96001, 960, 257, 31.25f},
                                        {16000, 161, 257, 31.25f},   {16000, 160, 15, 31.25f},
                                        {16000, 160, 65537, 31.25f}, {16000, 160, 257, 0.5f},
                                        {16000, 160, 257, NAN}};
    for (int i = 0; i < 7; i++) {
        ae_transients *self = (ae_transients *)&bad;
        CHECK(ae_transients_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_transients_destroy(NULL);
}

/* The stroke stands 40 dB over the noise; what is left of it is the noise. */
static void test_a_keyboard_is_learned_and_goes(void)
{
    const int rates[] = {16000, 44100, 48000};
    for (int r = 0; r < 3; r++) {
        static rig self;
        make(&self, rates[r]);
        settle(&self, 50);
        const float first_db = type_strokes(&self, 1, 1, 0.0f, 0.3f, 500.0f, 7000.0f);
        CHECK(first_db > -1.0f); /* one stroke makes no keyboard: it may have been a plosive */
        CHECK(ae_transients_count(self.transients) == 0);
        CHECK(type_strokes(&self, 20, 10, 0.0f, 0.3f, 500.0f, 7000.0f) < -20.0f);
        const uint32_t count = ae_transients_count(self.transients);
        CHECK(count >= 14 && count <= 20);
        clear(&self);
    }
}

/* A voice that goes on through the strokes stays; the strokes between and above its harmonics go.
 */
static void test_a_voice_under_strokes_stays(void)
{
    static rig self;
    make(&self, 16000);
    settle(&self, 50);
    type_strokes(&self, 15, 1, 0.0f, 0.1f, 500.0f, 7000.0f);
    for (int age = 0; age < 30; age++) {
        make_hop(&self, 0.1f, 0.0f, 0);
        run_hop(&self);
        if (age > 2) CHECK(mean_gain_db(&self, 100.0f, 1000.0f) > -0.5f);
    }
    const float voice_db = type_strokes(&self, 4, 4, 0.1f, 0.1f, 100.0f, 480.0f);
    CHECK(voice_db > -2.0f);
    CHECK(type_strokes(&self, 4, 4, 0.1f, 0.1f, 4000.0f, 7500.0f) < -8.0f);
    clear(&self);
}

/* Noise, steps of it, tones that start: nothing is a stroke, and not a bit changes. */
static void test_nothing_else_is_touched(void)
{
    static rig self;
    make(&self, 16000);
    for (int t = 0; t < 1000; t++) {
        make_hop(&self, t / 40 % 2 ? 0.05f : 0.0f, 0.0f, 0);
        if (t >= 600)
            for (int i = 0; i < self.config.hop_frames; i++) self.in[i] *= 4.0f;
        run_hop(&self);
        for (int k = 0; k < self.config.points; k++) CHECK(self.gain[k] > 0.999f);
    }
    CHECK(ae_transients_count(self.transients) == 0);
    clear(&self);
}

static void test_bad_weather_and_reset(void)
{
    static rig self, fresh;
    make(&self, 16000);
    make(&fresh, 16000);
    settle(&self, 50);
    type_strokes(&self, 10, 1, 0.0f, 0.3f, 500.0f, 7000.0f);
    const uint64_t allocations = ae_allocation_count();
    const float bad[] = {NAN, INFINITY, 3e38f, 1e-40f, 1.0f, 0.0f};
    for (int i = 0; i < 6; i++) {
        for (int t = 0; t < 10; t++) {
            ae_fill(self.in, bad[i], self.config.hop_frames);
            run_hop(&self);
            for (int k = 0; k < self.config.points; k++)
                CHECK(self.gain[k] >= 0.0f && self.gain[k] <= 1.0f);
        }
        ae_zero(self.history, self.window);
        settle(&self, 10); /* 100 ms later the room's noise passes again */
        CHECK(mean_gain_db(&self, 500.0f, 7000.0f) > -1.0f);
    }
    ae_transients_reset(self.transients);
    ae_zero(self.history, self.window);
    self.seed = fresh.seed;
    self.phase = fresh.phase;
    int different = 0;
    for (int t = 0; t < 200; t++) {
        make_hop(&self, 0.0f, 0.3f, t % k_stroke_hops);
        make_hop(&fresh, 0.0f, 0.3f, t % k_stroke_hops);
        run_hop(&self);
        run_hop(&fresh);
        different += memcmp(self.gain, fresh.gain, sizeof(float) * 257) != 0;
    }
    CHECK(different == 0);
    CHECK(ae_allocation_count() == allocations);
    clear(&self);
    clear(&fresh);
}

int main(void)
{
    test_create_checks_every_field();
    test_a_keyboard_is_learned_and_goes();
    test_a_voice_under_strokes_stays();
    test_nothing_else_is_touched();
    test_bad_weather_and_reset();
    return AE_TEST_RESULT();
}
