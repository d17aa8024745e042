/* Truths: the order of cases that any ear agrees on, on made-up spectra. Accuracy on recordings:
 * docs/voice-activity.md. */
#include "ae_speech_presence.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_points = 257 };
static const float k_bin_hz = 31.25f;

typedef struct {
    ae_speech_presence *judge;
    uint32_t seed;
    int hops;
    float power[k_points], noise[k_points], prior[k_points];
} rig;

static rig make(int bins)
{
    rig self = {.seed = 1};
    const ae_speech_features_config config = {bins, k_bin_hz, 10.0f};
    CHECK(ae_speech_presence_create(&self.judge, &config) == AE_OK);
    return self;
}

/* Noise of power 1 and a voice: harmonics of `pitch_hz` under a falling envelope that moves. */
static void fill(rig *self, float voice_power, float pitch_hz)
{
    for (int k = 0; k < k_points; k++) {
        const float f_hz = (float)k * k_bin_hz;
        const float off = f_hz / pitch_hz - roundf(f_hz / pitch_hz);
        const float comb = expf(-0.5f * off * off * pitch_hz * pitch_hz / (28.0f * 28.0f));
        const float height = f_hz / (900.0f + 500.0f * sinf(0.35f * (float)self->hops));
        const float voice = voice_power * comb / (1.0f + height * height);
        const float noise = -logf(0.5f + 0.4999f * ae_random(&self->seed));
        self->noise[k] = 1.0f;
        self->power[k] = voice + noise;
        self->prior[k] = ae_max(voice, 0.03f);
    }
}

static float hear(rig *self, float voice_power, float pitch_hz)
{
    fill(self, voice_power, pitch_hz);
    self->hops++;
    const int voiced = voice_power > 1.0f;
    const ae_speech_hop hop = {self->power, self->noise, self->prior, voiced ? 0.5f : 0.08f,
                               voiced ? pitch_hz : 200.0f + 120.0f * ae_random(&self->seed)};
    return ae_speech_presence_update(self->judge, &hop);
}

/* Syllables of 180 ms that rise and fall, 60 ms between them, in a pitch that falls and rises. */
static float talk(rig *self, int hops, float voice_power)
{
    float mean = 0.0f;
    for (int t = 0; t < hops; t++) {
        const float turn = sinf(0.09f * (float)self->hops);
        const float part = (float)(self->hops % 24) / 18.0f;
        const float rise = part < 1.0f ? sinf(k_ae_pi * (0.1f + 0.8f * part)) : 0.0f;
        mean += hear(self, voice_power * rise * rise, 140.0f + 35.0f * turn);
    }
    return mean / (float)hops;
}

static float room(rig *self, int hops)
{
    float mean = 0.0f;
    for (int t = 0; t < hops; t++) mean += hear(self, 0.0f, 100.0f);
    return mean / (float)hops;
}

/* Noise `over` times as strong as the suppressor believes, in the first `on` hops of 15. */
static float bursts(rig *self, int hops, float over, int on)
{
    float mean = 0.0f;
    for (int t = 0; t < hops; t++) {
        fill(self, 0.0f, 100.0f);
        const float gain = t % 15 < on ? over : 1.0f;
        for (int k = 0; k < k_points; k++) {
            self->power[k] *= gain;
            self->prior[k] = ae_max(gain - 1.0f, 0.03f);
        }
        const ae_speech_hop hop = {self->power, self->noise, self->prior, 0.08f, 110.0f};
        mean += ae_speech_presence_update(self->judge, &hop);
    }
    return mean / (float)hops;
}

static void test_create_checks_every_field(void)
{
    const ae_speech_features_config bad[] = {{120, 31.25f, 10.0f}, {257, NAN, 10.0f}};
    for (int i = 0; i < 2; i++) {
        ae_speech_presence *self = (ae_speech_presence *)&bad;
        CHECK(ae_speech_presence_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_speech_presence_destroy(NULL);
}

static void test_speech_and_what_is_none(void)
{
    const int bins[] = {257, 129}; /* 16 kHz and 8 kHz */
    for (int i = 0; i < 2; i++) {
        rig self = make(bins[i]);
        room(&self, 50);
        const float noise = room(&self, 100);
        talk(&self, 24, 1000.0f); /* one syllable proves little */
        const float speech = talk(&self, 240, 1000.0f);
        room(&self, 50);
        const float strokes = bursts(&self, 150, 300.0f, 2);
        room(&self, 50);
        const float gust = bursts(&self, 150, 10.0f, 15);
        printf("%d bins: noise %.2f, speech %.2f, strokes %.2f, a gust %.2f\n", bins[i],
               (double)noise, (double)speech, (double)strokes, (double)gust);
        CHECK(noise < 0.1f && speech > 0.7f);
        CHECK(strokes < 0.3f && gust < 0.5f);
        ae_speech_presence_destroy(self.judge);
    }
}

static void test_quick_at_onsets_and_silent_after_them(void)
{
    rig self = make(257);
    room(&self, 100);
    self.hops = 0;
    talk(&self, 3, 1000.0f);
    CHECK(talk(&self, 1, 1000.0f) > 0.5f); /* 40 ms after the onset */
    talk(&self, 200, 1000.0f);
    room(&self, 40);
    CHECK(room(&self, 20) < 0.2f);
    ae_speech_presence_destroy(self.judge);
}

static void test_reset_is_new_and_bad_weather(void)
{
    rig self = make(257), fresh = make(257);
    const uint64_t allocations = ae_allocation_count();
    const float worst[] = {0.0f, 1e-39f, 3e38f};
    for (int i = 0; i < 3; i++) {
        ae_fill(self.power, worst[i], k_points);
        ae_fill(self.noise, ae_max(worst[i], 1e-20f), k_points);
        ae_fill(self.prior, worst[i], k_points);
        for (int t = 0; t < 20; t++) {
            const ae_speech_hop hop = {self.power, self.noise, self.prior, worst[i], worst[i]};
            const float probability = ae_speech_presence_update(self.judge, &hop);
            CHECK(probability >= 0.0f && probability <= 1.0f);
        }
    }
    ae_speech_presence_reset(self.judge);
    CHECK(talk(&self, 40, 100.0f) == talk(&fresh, 40, 100.0f));
    CHECK(ae_allocation_count() == allocations);
    ae_speech_presence_destroy(self.judge);
    ae_speech_presence_destroy(fresh.judge);
}

int main(void)
{
    test_create_checks_every_field();
    test_speech_and_what_is_none();
    test_quick_at_onsets_and_silent_after_them();
    test_reset_is_new_and_bad_weather();
    return AE_TEST_RESULT();
}
