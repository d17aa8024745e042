/* Truths: at no attenuation the gain is 1; white noise falls to the limit and its level is known; a
 * known room's decay is found and its tail goes; chords stay; echo is neither noise nor speech. */
#include "ae_noise_stage.h"

#include "ae_math.h"
#include "ae_stft.h"
#include "ae_test.h"

enum { k_max_hop = 960, k_max_bins = 2049 };

static ae_noise_stage_config config_of(int rate)
{
    return (ae_noise_stage_config){.sample_rate_hz = rate,
                                   .channels = 1,
                                   .hop_frames = ae_block_frames(rate),
                                   .fft_size = 512 * rate / 16000,
                                   .power_scale = 1e-3f,
                                   .suppress = 1,
                                   .attenuation_limit_db = 20.0f,
                                   .dereverb = 1.0f,
                                   .transients = 1};
}

/* ---- the stage between an analysis and a synthesis ---- */

typedef struct {
    int hop, bins, channels;
    float scale;
    ae_stft *stft;
    ae_noise_stage *stage;
    float in[k_max_hop], out[k_max_hop];
    float re[k_max_bins], im[k_max_bins], power[k_max_bins], gain[k_max_bins];
    float echo_gain[k_max_bins], echo_share[k_max_bins];
} rig;

static void make(rig *self, ae_noise_stage_config config)
{
    *self = (rig){.hop = config.hop_frames, .channels = config.channels};
    const ae_stft_config stft = {self->hop, (int)(3.2f * (float)self->hop + 0.5f)};
    CHECK(ae_stft_create(&self->stft, &stft) == AE_OK);
    self->bins = ae_stft_bins(self->stft);
    self->scale = 1.0f / ae_stft_window_power(self->stft);
    config.fft_size = ae_stft_fft_size(self->stft);
    config.power_scale = self->scale / (float)config.channels;
    CHECK(ae_noise_stage_create(&self->stage, &config) == AE_OK);
}

static void destroy(rig *self)
{
    ae_stft_destroy(self->stft);
    ae_noise_stage_destroy(self->stage);
}

static ae_noise_stage_report read(const rig *self)
{
    ae_noise_stage_report report;
    ae_noise_stage_read(self->stage, &report);
    return report;
}

/* One hop of `in`, the same in all channels; out is one hop late. */
static void hear(rig *self, int has_echo)
{
    const float *samples[AE_MAX_CHANNELS];
    float *re[AE_MAX_CHANNELS], *im[AE_MAX_CHANNELS];
    for (int c = 0; c < self->channels; c++) {
        samples[c] = self->in;
        re[c] = self->re;
        im[c] = self->im;
    }
    ae_stft_analyse(self->stft, self->in, self->re, self->im);
    for (int k = 0; k < self->bins; k++)
        self->power[k] = self->scale * (self->re[k] * self->re[k] + self->im[k] * self->im[k]);
    ae_noise_hop hop = {samples, re, im, self->power, NULL, NULL, 1.0f};
    if (has_echo) {
        hop.echo_gain = self->echo_gain;
        hop.echo_share = self->echo_share;
    }
    ae_noise_stage_update(self->stage, &hop, self->gain);
    for (int k = 0; k < self->bins; k++) {
        self->re[k] *= self->gain[k];
        self->im[k] *= self->gain[k];
    }
    ae_stft_synthesise(self->stft, self->re, self->im, self->out);
}

static void fill_noise(rig *self, float level, uint32_t *seed)
{
    for (int i = 0; i < self->hop; i++) self->in[i] = level * ae_random(seed);
}

/* Syllables of a voice of twenty harmonics, 0.2 s each, and a click every half second. */
static void add_voice(rig *self, int t, float level)
{
    for (int i = 0; i < self->hop; i++) {
        const double time_s = 0.01 * ((double)t + (double)i / self->hop);
        for (int h = 1; h <= 20; h++)
            self->in[i] += level / (float)h * (float)sin(6.283185307179586 * 140.0 * h * time_s) *
                           (float)sin(15.7 * time_s);
    }
    if (t % 50 == 25) self->in[self->hop / 2] += 0.5f;
}

/* Energies of input and output over some hops. */
typedef struct {
    double before, after;
} loss;

static void add_loss(loss *sum, const rig *self)
{
    sum->before += (double)ae_energy(self->in, self->hop);
    sum->after += (double)ae_energy(self->out, self->hop);
}

static double loss_db(const loss *sum) { return 10.0 * log10(sum->before / sum->after); }

static void test_create_checks_every_field(void)
{
    ae_noise_stage_config bad[22];
    for (int i = 0; i < 22; i++) bad[i] = config_of(16000);
    bad[0].sample_rate_hz = 7999;
    bad[1].sample_rate_hz = 96001;
    bad[2].channels = 0;
    bad[3].channels = AE_MAX_CHANNELS + 1;
    bad[4].hop_frames = 0;
    bad[5].hop_frames = 161;
    bad[6].fft_size = 0;
    bad[7].fft_size = 511;
    bad[8].power_scale = 0.0f;
    bad[9].power_scale = INFINITY;
    bad[10].power_scale = NAN;
    bad[11].suppress = 2;
    bad[12].suppress = -1;
    bad[13].attenuation_limit_db = -0.1f;
    bad[14].attenuation_limit_db = 40.1f;
    bad[15].attenuation_limit_db = NAN;
    bad[16].dereverb = -0.1f;
    bad[17].dereverb = 1.1f;
    bad[18].dereverb = NAN;
    bad[19].transients = 2;
    bad[20].music_guard = -1;
    bad[21].fft_size = -512;
    for (int i = 0; i < 22; i++) {
        ae_noise_stage *self = (ae_noise_stage *)&bad;
        CHECK(ae_noise_stage_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_noise_stage_destroy(NULL);
}

static void test_at_no_attenuation_the_gain_is_one(void)
{
    const int rates[] = {8000, 11025, 16000, 22050, 44100, 48000, 96000};
    for (int r = 0; r < 7; r++) {
        ae_noise_stage_config config = config_of(rates[r]);
        config.attenuation_limit_db = 0.0f;
        config.music_guard = 1;
        rig self;
        make(&self, config);
        uint32_t seed = 5;
        for (int t = 0; t < 200; t++) {
            fill_noise(&self, 1e-3f, &seed);
            add_voice(&self, t, 0.1f);
            hear(&self, 0);
            for (int k = 0; k < self.bins; k++) CHECK_NEAR(self.gain[k], 1.0, 1e-6);
        }
        CHECK(ae_noise_stage_attenuation_db(self.stage) == 0.0f);
        destroy(&self);
    }
}

/* White noise of +-0.1 has a power of 0.01 / 3, as much in each bin. */
static void test_white_noise_is_known_and_falls_to_the_limit(void)
{
    const int rates[] = {8000, 16000, 48000};
    for (int r = 0; r < 3; r++) {
        rig self;
        make(&self, config_of(rates[r]));
        uint32_t seed = 9;
        loss sum = {0};
        for (int t = 0; t < 300; t++) {
            fill_noise(&self, 0.1f, &seed);
            hear(&self, 0);
            if (t >= 50) add_loss(&sum, &self);
        }
        CHECK_NEAR(loss_db(&sum), 20.0, 3.0);
        const ae_noise_stage_report report = read(&self);
        CHECK_NEAR(report.level_dbfs, 10.0 * log10(0.01 / 3.0), 1.0);
        CHECK_NEAR(report.reduction_db, 20.0, 3.0);
        CHECK(report.speech_probability < 0.5f && report.transient_count == 0);
        double mean = 0.0;
        ae_noise_stage_power(self.stage, self.power);
        for (int k = 0; k < self.bins; k++) mean += (double)(self.power[k] / (float)self.bins);
        CHECK_NEAR(10.0 * log10(mean), 10.0 * log10(0.01 / 3.0), 1.0);
        destroy(&self);
    }
}

/* Where noise is only tracked, its level is known all the same and the gain is 1. */
static void test_noise_is_tracked_without_a_gain(void)
{
    ae_noise_stage_config config = config_of(16000);
    config.suppress = 0;
    rig self;
    make(&self, config);
    uint32_t seed = 9;
    for (int t = 0; t < 300; t++) {
        fill_noise(&self, 0.1f, &seed);
        if (t < 100) add_voice(&self, t, 0.1f);
        hear(&self, 0);
        for (int k = 0; k < self.bins; k++) CHECK(self.gain[k] == 1.0f);
        CHECK(read(&self).speech_probability == 0.0f && read(&self).reduction_db == 0.0f);
    }
    CHECK_NEAR(read(&self).level_dbfs, 10.0 * log10(0.01 / 3.0), 1.0);
    CHECK(ae_noise_stage_attenuation_db(self.stage) == 0.0f);
    destroy(&self);
}

/* Bursts of noise in a room whose tail is noise that decays exponentially. Returns how far the late
 * tails, 80 .. 250 ms after a burst, are turned down, dB. */
static double burst_in_a_room(rig *self, int rate, float decay_s, float tail_gain)
{
    uint32_t seed = 3;
    float tail = 0.0f;
    loss sum = {0};
    double last = 0.0;
    for (int t = 0; t < 1200; t++) {
        const int phase = t % 60, late = phase >= 25 + 8 && phase < 25 + 25;
        const float direct = phase < 25 && phase % 12 < 10 ? 0.01f : 0.0f;
        const float decay = powf(10.0f, -6.0f / (decay_s * (float)rate));
        for (int i = 0; i < self->hop; i++) {
            tail = decay * tail + (1.0f - decay) * tail_gain * direct;
            self->in[i] = sqrtf(direct) * ae_random(&seed) + sqrtf(tail) * ae_random(&seed) +
                          3e-5f * ae_random(&seed);
        }
        hear(self, 0);
        if (t > 400 && late) {
            sum.before += last; /* the output is one block late */
            sum.after += (double)ae_energy(self->out, self->hop);
        }
        last = (double)ae_energy(self->in, self->hop);
    }
    return loss_db(&sum);
}

static void test_the_rooms_decay_time_is_reported_and_its_tail_goes(void)
{
    const int rates[] = {8000, 16000, 48000};
    const float rooms_s[] = {0.4f, 0.6f, 0.9f};
    for (int i = 0; i < 3; i++) {
        rig self;
        make(&self, config_of(rates[i]));
        const double with_db = burst_in_a_room(&self, rates[i], rooms_s[i], 2.0f);
        CHECK_NEAR(read(&self).reverb_time_s / rooms_s[i], 1.0, 0.25);
        ae_noise_stage_reset(self.stage);
        CHECK(read(&self).reverb_time_s == 0.0f);
        ae_noise_stage_set_dereverb(self.stage, 0.0f);
        CHECK(with_db > burst_in_a_room(&self, rates[i], rooms_s[i], 2.0f) + 4.0);
        ae_noise_stage_reset(self.stage);
        ae_noise_stage_set_dereverb(self.stage, 1.0f);
        burst_in_a_room(&self, rates[i], 0.5f, 1e-4f);
        CHECK(read(&self).reverb_time_s == 0.0f); /* dry */
        destroy(&self);
    }
}

/* Bursts of 10 ms, six in a second, in a quiet room: once they are known for strokes they go as far
 * as three times the limit, and only where they are asked to. */
static void test_strokes_go(void)
{
    double lost_db[2];
    for (int on = 0; on < 2; on++) {
        rig self;
        make(&self, config_of(16000));
        ae_noise_stage_set_transients(self.stage, on);
        uint32_t seed = 2;
        loss sum = {0};
        for (int t = 0; t < 1000; t++) {
            fill_noise(&self, 1e-3f, &seed);
            for (int i = 0; t % 17 == 0 && i < self.hop; i++)
                self.in[i] += 0.2f * expf(-0.03f * (float)i) * ae_random(&seed);
            hear(&self, 0);
            if (t >= 300) add_loss(&sum, &self);
        }
        lost_db[on] = loss_db(&sum);
        printf("strokes %d: %.1f dB lost, %d counted\n", on, lost_db[on],
               (int)read(&self).transient_count);
        CHECK(on ? read(&self).transient_count > 30 : read(&self).transient_count == 0);
        destroy(&self);
    }
    CHECK(lost_db[1] > lost_db[0] + 10.0);
}

/* Half-second chords in one channel or in two; loss in dB of seconds 4 .. 8, and whether music was
 * said. */
static double loss_of_chords_db(int channels, int music_guard, int *music)
{
    const double notes_hz[4][3] = {
        {261.6, 329.6, 392.0}, {349.2, 440.0, 523.3}, {392.0, 493.9, 587.3}, {220.0, 261.6, 329.6}};
    ae_noise_stage_config config = config_of(16000);
    config.channels = channels;
    rig self;
    make(&self, config);
    ae_noise_stage_set_music_guard(self.stage, music_guard);
    uint32_t seed = 4;
    loss sum = {0};
    for (int t = 0; t < 800; t++) {
        fill_noise(&self, 1e-4f, &seed);
        for (int i = 0; i < 160; i++) {
            const double time_s = (double)(t * 160 + i) / 16000.0;
            for (int n = 0; n < 12; n++)
                self.in[i] += 0.02f * (float)sin(6.283185307179586 * time_s * (double)(1 + n / 3) *
                                                 notes_hz[(int)(time_s * 2.0) % 4][n % 3]);
        }
        hear(&self, 0);
        if (t >= 400) add_loss(&sum, &self);
    }
    *music = read(&self).music;
    CHECK_NEAR(ae_noise_stage_attenuation_db(self.stage), *music ? 6.0 : 20.0, 0.1);
    destroy(&self);
    return loss_db(&sum);
}

static void test_music_guard_keeps_music(void)
{
    int music;
    for (int channels = 1; channels <= 2; channels++) {
        CHECK_NEAR(loss_of_chords_db(channels, 1, &music), 0.0, 0.3);
        CHECK(music == 1);
    }
    printf("chords without the music guard: %.1f dB lost\n", loss_of_chords_db(1, 0, &music));
    CHECK(music == 0);
}

/* A voice of which the echo gain leaves -40 dB: no speech of this room, and no noise. The same
 * voice without an echo is speech. */
static void test_echo_is_neither_noise_nor_speech(void)
{
    for (int suppress = 0; suppress < 2; suppress++) {
        ae_noise_stage_config config = config_of(16000);
        config.suppress = suppress;
        rig self;
        make(&self, config);
        ae_fill(self.echo_gain, 0.01f, self.bins);
        ae_fill(self.echo_share, 0.9999f, self.bins);
        uint32_t seed = 9;
        for (int t = 0; t < 200; t++) {
            fill_noise(&self, 3e-3f, &seed);
            hear(&self, 0);
        }
        const float level_dbfs = read(&self).level_dbfs;
        float highest[2] = {0.0f, 0.0f};
        for (int t = 0; t < 2000; t++) {
            fill_noise(&self, t < 1900 ? 0.03f : 3e-3f, &seed);
            add_voice(&self, t, 0.1f);
            hear(&self, t < 1900);
            highest[t >= 1900] = fmaxf(highest[t >= 1900], read(&self).speech_probability);
            if (t < 1900) CHECK_NEAR(read(&self).level_dbfs, level_dbfs, 3.0);
        }
        printf("suppress %d: echo is speech to %.2f, a voice to %.2f\n", suppress,
               (double)highest[0], (double)highest[1]);
        CHECK(highest[0] < 0.5f);
        CHECK(suppress ? highest[1] > 0.9f : highest[1] == 0.0f);
        destroy(&self);
    }
}

/* A loud voice of which the echo stage says that it is echo alone keeps no more than the floor. */
static void test_echo_alone_goes_to_the_floor(void)
{
    rig self;
    make(&self, config_of(16000));
    ae_fill(self.echo_gain, 1.0f, self.bins);
    ae_fill(self.echo_share, 0.1f, self.bins);
    for (int near_end = 1; near_end >= 0; near_end--) {
        for (int t = 0; t < 30; t++) {
            ae_zero(self.in, self.hop);
            add_voice(&self, t, 0.1f);
            hear(&self, 1);
        }
        const float *samples[] = {self.in};
        float *re[] = {self.re}, *im[] = {self.im};
        const ae_noise_hop hop = {
            samples, re, im, self.power, self.echo_gain, self.echo_share, (float)near_end};
        ae_noise_stage_update(self.stage, &hop, self.gain);
        float most = 0.0f;
        for (int k = 0; k < self.bins; k++) most = ae_max(most, self.gain[k]);
        CHECK_NEAR(most, near_end ? 1.0 : 0.1, 1e-3);
    }
    destroy(&self);
}

/* What is no number changes nothing, what is out of range goes to its end; the limit ramps. */
static void test_setters_clamp_and_ramp(void)
{
    rig self;
    make(&self, config_of(16000));
    ae_noise_stage_set_attenuation_limit_db(self.stage, NAN);
    ae_noise_stage_set_dereverb(self.stage, NAN);
    hear(&self, 0);
    CHECK(ae_noise_stage_attenuation_db(self.stage) == 20.0f);
    ae_noise_stage_set_attenuation_limit_db(self.stage, 1e9f);
    hear(&self, 0);
    const float once_db = ae_noise_stage_attenuation_db(self.stage);
    CHECK_NEAR(once_db, 40.0 - 20.0 * exp(-1.0 / 3.0), 1e-3);
    for (int t = 0; t < 100; t++) hear(&self, 0);
    CHECK_NEAR(ae_noise_stage_attenuation_db(self.stage), 40.0, 1e-3);
    ae_noise_stage_set_attenuation_limit_db(self.stage, -1.0f);
    for (int t = 0; t < 100; t++) hear(&self, 0);
    CHECK_NEAR(ae_noise_stage_attenuation_db(self.stage), 0.0, 1e-3);
    destroy(&self);
}

/* Two channels alike are one channel. */
static void test_channels_share_one_gain(void)
{
    ae_noise_stage_config config = config_of(16000);
    rig one, two;
    make(&one, config);
    config.channels = 2;
    make(&two, config);
    uint32_t seed = 9, same = 9;
    for (int t = 0; t < 200; t++) {
        fill_noise(&one, 0.01f, &seed);
        fill_noise(&two, 0.01f, &same);
        add_voice(&one, t, 0.1f);
        add_voice(&two, t, 0.1f);
        hear(&one, 0);
        hear(&two, 0);
        for (int k = 0; k < one.bins; k++) CHECK_NEAR(two.gain[k], one.gain[k], 1e-4);
    }
    destroy(&one);
    destroy(&two);
}

/* Bad signals: 100 ms later all is finite; reset is new; nothing is allocated. Beside an echo all
 * is finite at once, as the echo filter leaves it. */
static void test_bad_weather_and_reset(void)
{
    static const float levels[] = {0.0f, 64.0f, 1e-40f, 1e-3f, NAN, INFINITY, 3e38f};
    ae_noise_stage_config config = config_of(16000);
    config.music_guard = 1;
    rig used, fresh;
    make(&used, config);
    make(&fresh, config);
    const uint64_t allocations = ae_allocation_count();
    uint32_t seed = 1, same = 7, other = 7;
    for (int t = 0; t < 7 * 7 * 24; t++) {
        const int is_bad = t % 24 < 12;
        fill_noise(&used, 1e-2f, &seed);
        for (int i = 0; is_bad && i < used.hop; i++)
            used.in[i] = i % 3 ? levels[t / 24 % 7] : -levels[t / 168];
        ae_fill(used.echo_gain, t % 5 ? 0.5f : 0.0f, used.bins);
        ae_fill(used.echo_share, t % 5 ? 0.75f : 1.0f, used.bins);
        hear(&used, t % 2 && t / 24 % 7 < 4 && t / 168 < 4);
        if (t % 24 < 22) continue;
        for (int k = 0; k < used.bins; k++) CHECK(used.gain[k] >= 0.0f && used.gain[k] <= 1.0f);
        CHECK(isfinite(read(&used).level_dbfs) && isfinite(read(&used).speech_probability));
        CHECK(isfinite(read(&used).reduction_db));
    }
    ae_noise_stage_reset(used.stage);
    ae_stft_reset(used.stft);
    for (int t = 0; t < 150; t++) {
        fill_noise(&used, 1e-3f, &same);
        fill_noise(&fresh, 1e-3f, &other);
        add_voice(&used, t, 0.1f);
        add_voice(&fresh, t, 0.1f);
        hear(&used, 0);
        hear(&fresh, 0);
        CHECK(memcmp(used.gain, fresh.gain, sizeof used.gain) == 0);
        const ae_noise_stage_report a = read(&used), b = read(&fresh);
        CHECK(memcmp(&a, &b, sizeof a) == 0);
    }
    CHECK(ae_allocation_count() == allocations);
    destroy(&used);
    destroy(&fresh);
}

int main(void)
{
    test_create_checks_every_field();
    test_at_no_attenuation_the_gain_is_one();
    test_white_noise_is_known_and_falls_to_the_limit();
    test_noise_is_tracked_without_a_gain();
    test_the_rooms_decay_time_is_reported_and_its_tail_goes();
    test_strokes_go();
    test_music_guard_keeps_music();
    test_echo_is_neither_noise_nor_speech();
    test_echo_alone_goes_to_the_floor();
    test_setters_clamp_and_ramp();
    test_channels_share_one_gain();
    test_bad_weather_and_reset();
    return AE_TEST_RESULT();
}
