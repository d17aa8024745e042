/* Truths: unit gain is a delay of one hop; white noise falls to the limit; a known echo goes. */
#include "ae_echo_filter.h"
#include "ae_math.h"
#include "ae_net_file.h"
#include "ae_noise_stage.h"
#include "ae_stft.h"
#include "ae_suppressor.h"
#include "ae_test.h"

enum { k_max_block = 960 };

static ae_suppressor *make(int sample_rate_hz, int channels, float attenuation_limit_db)
{
    ae_suppressor_config config = ae_suppressor_default_config(sample_rate_hz);
    config.channels = channels;
    config.attenuation_limit_db = attenuation_limit_db;
    ae_suppressor *self = NULL;
    CHECK(ae_suppressor_create(&self, &config) == AE_OK);
    return self;
}

static void test_unit_gain_is_a_delay(void)
{
    const int rates[] = {8000, 11025, 16000, 22050, 44100, 48000, 96000};
    for (int r = 0; r < 7; r++) {
        ae_suppressor *self = make(rates[r], 1, 0.0f);
        const int block = ae_block_frames(rates[r]);
        static float in[2][k_max_block], out[k_max_block];
        float *to = out;
        uint32_t seed = 5;
        double error = 0.0, signal = 0.0;
        for (int b = 0; b < 100; b++) {
            float *now = in[b % 2], *last = in[(b + 1) % 2];
            for (int i = 0; i < block; i++) now[i] = 0.5f * ae_random(&seed);
            ae_suppressor_process(self, (const float *const *)&now, NULL, &to);
            for (int i = 0; b > 0 && i < block; i++) {
                error += pow((double)(out[i] - last[i]), 2.0);
                signal += pow((double)last[i], 2.0);
            }
        }
        CHECK(error < 1e-10 * signal);
        CHECK(ae_suppressor_latency_frames(self) == block);
        ae_suppressor_destroy(self);
    }
}

static void test_white_noise_falls_to_the_limit(void)
{
    ae_suppressor *self = make(48000, 1, 20.0f);
    static float in[480], out[480];
    const float *from = in;
    float *to = out;
    uint32_t seed = 9;
    double before = 0.0, after = 0.0;
    for (int b = 0; b < 300; b++) {
        for (int i = 0; i < 480; i++) in[i] = 0.1f * ae_random(&seed);
        ae_suppressor_process(self, &from, NULL, &to);
        if (b < 50) continue;
        before += (double)ae_energy(in, 480);
        after += (double)ae_energy(out, 480);
    }
    CHECK_NEAR(10.0 * log10(before / after), 20.0, 3.0);
    ae_suppressor_report report;
    ae_suppressor_read(self, &report);
    CHECK(report.near_end_presence == 1.0f); /* no far end: all is near end */
    CHECK_NEAR(report.noise_level_dbfs, 20.0 * log10(0.1 / sqrt(3.0)), 1.0);
    ae_suppressor_destroy(self);
}

static void test_create_checks_every_field(void)
{
    ae_suppressor_config bad[18];
    for (int i = 0; i < 18; i++) bad[i] = ae_suppressor_default_config(16000);
    bad[0].sample_rate_hz = 7999;
    bad[1].sample_rate_hz = 96001;
    bad[2].channels = 0;
    bad[3].channels = AE_MAX_CHANNELS + 1;
    bad[4].echo = 2;
    bad[5].noise = 2;
    bad[6].noise = -1;
    bad[7].attenuation_limit_db = -0.1f;
    bad[8].attenuation_limit_db = 40.1f;
    bad[9].attenuation_limit_db = NAN;
    bad[10].dereverb = 1.1f;
    bad[11].dereverb = NAN;
    bad[12].tier = -1;
    bad[13].tier = 3;
    bad[14].unaided_limit_db = -0.1f;
    bad[15].unaided_limit_db = 40.1f;
    bad[16].unaided_limit_db = NAN;
    bad[17].net_hears_far_end = 2;
    for (int i = 0; i < 18; i++) {
        ae_suppressor *self = (ae_suppressor *)&bad;
        CHECK(ae_suppressor_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_suppressor_destroy(NULL);
}

/* 6 s of strokes and of a voice in a room that rings on, then chords. */
static void play_findings(float *in, int block, int t, float *tail, uint32_t *seed)
{
    static const float chords_hz[4][3] = {{261.6f, 329.6f, 392.0f},
                                          {349.2f, 440.0f, 523.3f},
                                          {392.0f, 493.9f, 587.3f},
                                          {220, 262, 330}};
    const float direct = t < 600 && t % 60 < 25 && t % 12 < 10 ? 0.1f : 0.0f;
    for (int i = 0; i < block; i++) {
        const double time_s = 0.01 * ((double)t + (double)i / block);
        *tail += 1e-3f * (direct - *tail);
        in[i] = (*tail + 1e-4f) * ae_random(seed);
        for (int h = 1; h <= 20; h++)
            in[i] += direct / (float)h * (float)sin(6.283185307179586 * 140.0 * h * time_s);
        if (t < 600 && t % 17 == 0) in[i] += 0.2f * expf(-0.03f * (float)i) * ae_random(seed);
        for (int n = 0; t >= 600 && n < 12; n++)
            in[i] += 0.02f * (float)sin(6.283185307179586 * time_s * (double)(1 + n / 3) *
                                        (double)chords_hz[t / 50 % 4][n % 3]);
    }
}

/* What the noise stage finds and does by itself is what comes out, parameters as set. */
static void test_without_echo_it_is_the_noise_stage(void)
{
    ae_suppressor *self = make(16000, 1, 20.0f);
    const ae_stft_config stft_config = {160, 512};
    ae_stft *stft = NULL;
    ae_noise_stage *stage = NULL;
    CHECK(ae_stft_create(&stft, &stft_config) == AE_OK);
    const float scale = 1.0f / ae_stft_window_power(stft);
    const ae_noise_stage_config config = {16000, 1, 160, 512, scale, 1, 12.0f, 0.5f, 1, 1};
    CHECK(ae_noise_stage_create(&stage, &config) == AE_OK);
    ae_suppressor_set_attenuation_limit_db(self, 12.0f);
    ae_suppressor_set_dereverb(self, 0.5f);
    ae_suppressor_set_transients(self, 0);
    ae_suppressor_set_transients(self, 1);
    ae_suppressor_set_music_guard(self, 1);
    ae_suppressor_reset(self); /* keeps parameters */
    float in[160], out[160], same[160], re[257], im[257], power[257], gain[257], tail = 0.0f;
    float *planes[] = {re, im};
    const float *from = in;
    float *to = out;
    uint32_t seed = 4;
    ae_suppressor_report report, all = {0};
    for (int t = 0; t < 1400; t++) {
        play_findings(in, 160, t, &tail, &seed);
        ae_stft_analyse(stft, in, re, im);
        for (int k = 0; k < 257; k++) power[k] = scale * (re[k] * re[k] + im[k] * im[k]);
        const ae_noise_hop hop = {&from, &planes[0], &planes[1], power, NULL, NULL, 1.0f};
        ae_noise_stage_update(stage, &hop, gain);
        for (int k = 0; k < 257; k++) {
            re[k] *= gain[k];
            im[k] *= gain[k];
        }
        ae_stft_synthesise(stft, re, im, same);
        ae_suppressor_process(self, &from, NULL, &to);
        for (int i = 0; i < 160; i++) CHECK_NEAR(out[i], same[i], 1e-6);
        ae_noise_stage_report found;
        ae_noise_stage_read(stage, &found);
        ae_suppressor_read(self, &report);
        CHECK_NEAR(report.noise_level_dbfs, found.level_dbfs, 0.01);
        CHECK_NEAR(report.noise_reduction_db, found.reduction_db, 0.01);
        CHECK_NEAR(report.speech_probability, found.speech_probability, 0.01);
        CHECK_NEAR(report.reverb_time_s, found.reverb_time_s, 0.01);
        CHECK(report.music == found.music && report.transient_count == found.transient_count);
        all.music |= report.music;
        all.reverb_time_s = ae_max(all.reverb_time_s, report.reverb_time_s);
    }
    printf("found: %d strokes, %.2f s of reverberation\n", (int)report.transient_count,
           (double)all.reverb_time_s);
    CHECK(all.music == 1 && report.transient_count > 0 && all.reverb_time_s > 0.0f);
    ae_suppressor_destroy(self);
    ae_noise_stage_destroy(stage);
    ae_stft_destroy(stft);
}

/* 20 multiples of `hum_hz` (0: none) in white noise: what is reported after 5 s, and the loss of
 * everything after that. */
static ae_suppressor_report report_of_hum(float hum_hz, double *loss_db)
{
    ae_suppressor *self = make(16000, 1, 20.0f);
    float in[160], out[160];
    const float *from = in;
    float *to = out;
    uint32_t seed = 4;
    double before = 0.0, after = 0.0;
    for (int b = 0; b < 800; b++) {
        for (int i = 0; i < 160; i++) {
            const double turns = (double)hum_hz * (double)(b * 160 + i) / 16000.0;
            in[i] = 1e-3f * ae_random(&seed);
            for (int h = 1; h <= 20; h++)
                in[i] += 0.02f * (float)sin(6.283185307179586 * h * turns) / (float)h;
        }
        ae_suppressor_process(self, &from, NULL, &to);
        if (b < 500) continue;
        before += (double)ae_energy(in, 160);
        after += (double)ae_energy(out, 160);
    }
    ae_suppressor_report report;
    ae_suppressor_read(self, &report);
    ae_suppressor_destroy(self);
    *loss_db = 10.0 * log10(before / after);
    return report;
}

/* Hum is a little further down than the limit, so that the room keeps its sound. */
static void test_hum_is_named_and_turned_down(void)
{
    double loss_db;
    CHECK_NEAR(report_of_hum(50.0f, &loss_db).hum_hz, 50.0, 0.1);
    CHECK_NEAR(loss_db, 22.5, 1.0);
    CHECK_NEAR(report_of_hum(60.1f, &loss_db).hum_hz, 60.1, 0.1);
    CHECK_NEAR(loss_db, 22.5, 1.0);
    CHECK(report_of_hum(0.0f, &loss_db).hum_hz == 0.0f);
    CHECK(report_of_hum(53.0f, &loss_db).hum_hz == 0.0f);
}

/* ---- beside an echo filter ---- */

enum { k_rate = 16000, k_block = 160, k_delay = 320 };

typedef struct {
    ae_echo_filter *filter;
    ae_suppressor *suppressor;
    uint32_t seed;
    float low, near_low;
    int at;
    float past[k_delay + k_block]; /* far end, newest last */
    float capture[k_block], error[k_block], last_error[k_block], out[k_block];
} rig;

/* model: a small net that works behind the noise stage, or NULL. */
static rig make_rig_with_net(int noise, const ae_net_model *model)
{
    rig self = {.seed = 5};
    const ae_echo_filter_config filter = ae_echo_filter_default_config(k_rate);
    ae_suppressor_config config = ae_suppressor_default_config(k_rate);
    config.echo = 1;
    config.noise = noise;
    config.small_model = model;
    config.tier = 1;
    CHECK(config.channels == 1 && ae_suppressor_default_config(k_rate).noise == 1);
    CHECK(ae_echo_filter_create(&self.filter, &filter) == AE_OK);
    CHECK(ae_suppressor_create(&self.suppressor, &config) == AE_OK);
    return self;
}

static rig make_rig(int noise) { return make_rig_with_net(noise, NULL); }

/* As make_rig(1), with a net of that model, if any. */
static rig make_net_rig(const ae_net_model *model, int hears_far_end, float attenuation_limit_db)
{
    rig self = make_rig(1);
    ae_suppressor_destroy(self.suppressor);
    ae_suppressor_config config = ae_suppressor_default_config(k_rate);
    CHECK(config.net_hears_far_end == 1);
    config.echo = 1;
    config.attenuation_limit_db = attenuation_limit_db;
    config.small_model = model;
    config.tier = model != NULL ? 1 : 0;
    config.net_hears_far_end = hears_far_end;
    CHECK(ae_suppressor_create(&self.suppressor, &config) == AE_OK);
    return self;
}

static void destroy_rig(rig *self)
{
    ae_echo_filter_destroy(self->filter);
    ae_suppressor_destroy(self->suppressor);
}

/* Syllables of a voice with some breath, the near end's between those of the far end. */
static float talk(rig *self, int i, float *low, int shift, float pitch_hz)
{
    const float phase =
        2.0f * k_ae_pi * pitch_hz * (float)((self->at + i) % (10 * k_rate)) / (float)k_rate;
    float sum = 0.0f;
    for (int h = 1; h <= 20; h++) sum += sinf((float)h * phase) / (float)h;
    *low += 0.4f * (ae_random(&self->seed) - *low);
    return (0.3f * sum + 0.3f * *low) *
           sinf(k_ae_pi * (float)((self->at + i + shift) % 3200) / 3200.0f);
}

/* One block: a loudspeaker that bends, 20 ms of way, the near end, a quiet room. */
static void step(rig *self, float far_level, float near_level, float room_level)
{
    float far[k_block];
    memmove(self->past, self->past + k_block, sizeof(float) * k_delay);
    ae_copy(self->last_error, self->error, k_block);
    for (int i = 0; i < k_block; i++) {
        far[i] = far_level * talk(self, i, &self->low, 0, 110.0f);
        self->past[k_delay + i] = 0.15f * tanhf(4.0f * far[i]);
        self->capture[i] = self->past[i] +
                           near_level * talk(self, i, &self->near_low, 1600, 170.0f) +
                           room_level * ae_random(&self->seed);
    }
    self->at += k_block;
    ae_echo_filter_process(self->filter, self->capture, (const float *[]){far}, self->error);
    const ae_echo_view *view = ae_echo_filter_view(self->filter);
    ae_suppressor_process(self->suppressor, (const float *[]){self->error}, &view,
                          (float *[]){self->out});
}

/* How far the output lies below the capture, in dB. */
static double run(rig *self, int blocks, float far_level, float near_level, float room_level)
{
    double before = 1e-12, after = 1e-12;
    for (int b = 0; b < blocks; b++) {
        step(self, far_level, near_level, room_level);
        before += (double)ae_energy(self->capture, k_block);
        after += (double)ae_energy(self->out, k_block);
    }
    return 10.0 * log10(before / after);
}

/* Noise and echo, or echo alone: nothing but the near end is left, and the reports say so. */
static void test_an_echo_is_taken_away(void)
{
    for (int noise = 0; noise < 2; noise++) {
        rig self = make_rig(noise);
        ae_suppressor_report report;
        run(&self, 300, 0.8f, 0.0f, 1e-5f);
        const double echo_db = run(&self, 200, 0.8f, 0.0f, 1e-5f);
        ae_suppressor_read(self.suppressor, &report);
        printf("noise %d: echo alone %.1f dB, probability of speech %.2f\n", noise, echo_db,
               (double)report.speech_probability);
        CHECK(echo_db > 40.0);
        CHECK(report.near_end_presence < 0.3f && report.echo_reduction_db > 6.0f);
        CHECK(report.speech_probability < 0.5f);
        run(&self, 200, 0.0f, 0.0f, 1e-5f);
        CHECK(run(&self, 200, 0.0f, 0.4f, 1e-5f) < 1.0); /* no far end: the near end stays */
        ae_suppressor_read(self.suppressor, &report);
        CHECK(report.near_end_presence > 0.99f && report.echo_reduction_db < 0.1f);
        destroy_rig(&self);
    }
}

/* A view made by hand: an echo 6 dB below the far end, of which the filter leaves a tenth. */
static double taken_from_echo_db(const ae_net_model *model, int hears_far_end, float limit_db)
{
    rig self = make_net_rig(model, hears_far_end, limit_db);
    float far[k_block], echo[k_block], prior_echo[k_block], misadjustment[k_block + 1] = {0};
    const ae_echo_view view = {.frames = k_block,
                               .capture = self.capture,
                               .far_end = far,
                               .echo = echo,
                               .prior_echo = prior_echo,
                               .misadjustment_power = misadjustment,
                               .misadjustment_bins = k_block + 1,
                               .far_active = 1,
                               .lag_found = 1,
                               .trust = 1.0f};
    const ae_echo_view *views = &view;
    double before = 1e-12, after = 1e-12;
    for (int b = 0; b < 500; b++, self.at += k_block) {
        for (int i = 0; i < k_block; i++) {
            far[i] = talk(&self, i, &self.low, 0, 110.0f);
            self.capture[i] = 0.5f * far[i] + 1e-5f * ae_random(&self.seed);
            echo[i] = prior_echo[i] = 0.45f * far[i];
            self.error[i] = self.capture[i] - echo[i];
        }
        ae_suppressor_process(self.suppressor, (const float *[]){self.error}, &views,
                              (float *[]){self.out});
        before += b < 200 ? 0.0 : (double)ae_energy(self.error, k_block);
        after += b < 200 ? 0.0 : (double)ae_energy(self.out, k_block);
    }
    destroy_rig(&self);
    return 10.0 * log10(before / after);
}

/* Beside a net that hears the far end, and here lets all pass, residual echo is turned down by half
 * the decibels; beside one that does not, as without a net. The noise stage's 10 dB come on top. */
static void test_the_echo_stage_leaves_half_to_a_net(void)
{
    ae_net_model *model = make_model(
        (net_recipe){.channels = 8, .full = 8, .layers = 1, .gain_bias = 30.0f, .seed = 1});
    CHECK_NEAR(taken_from_echo_db(model, 0, 10.0f), taken_from_echo_db(NULL, 1, 10.0f), 0.01);
    const double whole_db = taken_from_echo_db(model, 0, 40.0f) - 10.0;
    const double half_db = taken_from_echo_db(model, 1, 40.0f) - 10.0;
    printf("taken from residual echo: %.1f dB behind a deaf net, %.1f before one that hears\n",
           whole_db, half_db);
    CHECK(whole_db > 10.0 && half_db > 0.35 * whole_db && half_db < 0.65 * whole_db);
    ae_net_model_destroy(model);
}

/* A far end that is silent is none: the net answers as if it heard none. */
static void test_a_silent_far_end_is_none_to_the_net(void)
{
    ae_net_model *model = make_model((net_recipe){
        .channels = 8, .full = 16, .layers = 1, .size = 0.6f, .gain_bias = 0.5f, .seed = 3});
    rig hearing = make_net_rig(model, 1, 20.0f), deaf = make_net_rig(model, 0, 20.0f);
    double near_difference = 0.0, echo_difference = 0.0, near = 0.0, echo = 0.0;
    for (int b = 0; b < 400; b++) {
        step(&hearing, b < 200 ? 0.0f : 0.8f, 0.4f, 1e-4f);
        step(&deaf, b < 200 ? 0.0f : 0.8f, 0.4f, 1e-4f);
        for (int i = 0; i < k_block; i++) {
            const double difference = pow((double)(hearing.out[i] - deaf.out[i]), 2.0);
            *(b < 200 ? &near_difference : &echo_difference) += difference;
            *(b < 200 ? &near : &echo) += pow((double)deaf.out[i], 2.0);
        }
    }
    CHECK(near > 0.0 && near_difference < 1e-6 * near);
    CHECK(echo_difference > 1e-3 * echo);
    destroy_rig(&hearing);
    destroy_rig(&deaf);
    ae_net_model_destroy(model);
}

/* Without the noise stage and without a far end there is nothing to do: the output is the input,
 * one block late, whatever the limit; and nobody judges speech. */
static void test_without_noise_and_far_end_it_is_a_delay(void)
{
    for (int had_echo = 0; had_echo < 2; had_echo++) {
        rig self = make_rig(0);
        double error = 0.0, signal = 0.0;
        if (had_echo) run(&self, 200, 0.8f, 0.0f, 1e-3f);
        if (had_echo) run(&self, 30 + 120, 0.0f, 0.0f, 1e-3f); /* the tail, the filter's reach */
        for (int b = 0; b < 200; b++) {
            if (b == 20) ae_suppressor_set_attenuation_limit_db(self.suppressor, 40.0f);
            if (b == 20) ae_suppressor_set_dereverb(self.suppressor, 1.0f);
            step(&self, 0.0f, 0.3f, 1e-2f);
            ae_suppressor_report report;
            ae_suppressor_read(self.suppressor, &report);
            CHECK(report.speech_probability == 0.0f && report.noise_reduction_db < 0.01f);
            CHECK(report.near_end_presence > 0.9999f);
            for (int i = 0; b > 1 && i < k_block; i++) {
                error += pow((double)(self.out[i] - self.last_error[i]), 2.0);
                signal += pow((double)self.last_error[i], 2.0);
            }
        }
        CHECK(error < 1e-8 * signal);
        CHECK(ae_suppressor_latency_frames(self.suppressor) == k_block);
        destroy_rig(&self);
    }
}

/* The level of the room's noise is measured with the noise stage and without it. */
static void test_the_noise_level_is_reported_without_the_noise_stage(void)
{
    rig self = make_rig(0);
    ae_suppressor_report report;
    run(&self, 300, 0.0f, 0.0f, 0.1f);
    ae_suppressor_read(self.suppressor, &report);
    CHECK_NEAR(report.noise_level_dbfs, 20.0 * log10(0.1 / sqrt(3.0)), 1.0);
    destroy_rig(&self);
}

/* Echo takes the room's noise with it. The noise estimate stays where it was all the same, for half
 * a minute; so the hole is filled to the room's level, and noise is turned down at once when the
 * far end has gone. */
static void test_the_noise_is_known_behind_an_echo(void)
{
    for (int noise = 0; noise < 2; noise++) {
        rig self = make_rig(noise);
        ae_suppressor_report before, report;
        run(&self, 300, 0.0f, 0.0f, 3e-3f);
        ae_suppressor_read(self.suppressor, &before);
        for (int s = 0; s < 30; s++) {
            run(&self, 100, 0.8f, 0.0f, 3e-3f);
            ae_suppressor_read(self.suppressor, &report);
            CHECK_NEAR(report.noise_level_dbfs, before.noise_level_dbfs, 3.0);
        }
        run(&self, 60, 0.0f, 0.0f, 3e-3f);
        CHECK_NEAR(run(&self, 30, 0.0f, 0.0f, 3e-3f), noise ? 20.0 : 0.0, 1.5);
        destroy_rig(&self);
    }
}

static void test_the_hole_is_filled_with_the_rooms_noise(void)
{
    rig self = make_rig(0);
    run(&self, 2500, 0.0f, 0.0f, 3e-3f); /* the floor is found at 1.7 dB/s */
    run(&self, 300, 0.8f, 0.0f, 3e-3f);
    double power = 0.0;
    for (int b = 0; b < 200; b++) {
        step(&self, 0.8f, 0.0f, 3e-3f);
        power += (double)ae_energy(self.out, k_block) / (200.0 * k_block);
    }
    printf("comfort noise: %.1f dB to the room\n", 10.0 * log10(power / 3e-6));
    CHECK_NEAR(10.0 * log10(power / 3e-6), 0.0, 6.0);
    destroy_rig(&self);
}

/* Gain 0.1 and speech 0.9, whatever is heard. */
static const net_recipe k_flat_net = {.channels = 8,
                                      .full = 8,
                                      .layers = 1,
                                      .gain_bias = -2.19722f,
                                      .speech_bias = 2.19722f,
                                      .seed = 1};
static const net_recipe k_random_net = {
    .channels = 16, .full = 32, .layers = 2, .size = 0.6f, .gain_bias = 0.5f, .seed = 11};

static ae_suppressor *make_with_net(const ae_net_model *model, int tier, float limit_db)
{
    ae_suppressor_config config = ae_suppressor_default_config(k_rate);
    config.channels = 2;
    config.attenuation_limit_db = limit_db;
    config.small_model = model;
    config.tier = tier;
    ae_suppressor *self = NULL;
    CHECK(ae_suppressor_create(&self, &config) == AE_OK);
    return self;
}

/* How far white noise, the same in both channels but for its level, is turned down; the largest
 * jump of that from block to block, in dB, goes to *jump_db. */
static double fall_of_noise(ae_suppressor *self, int blocks, uint32_t *seed, double *jump_db)
{
    double before = 1e-12, after = 1e-12, last_db = 0.0;
    for (int b = 0; b < blocks; b++) {
        float left[k_block], right[k_block];
        for (int i = 0; i < k_block; i++) {
            left[i] = 0.1f * ae_random(seed);
            right[i] = 0.5f * left[i];
        }
        const double in = (double)ae_energy(left, k_block);
        ae_suppressor_process(self, (const float *[]){left, right}, NULL, (float *[]){left, right});
        const double out = (double)ae_energy(left, k_block);
        const double now_db = 10.0 * log10(in / (out + 1e-12));
        for (int i = 0; i < k_block; i++) CHECK_NEAR(right[i], 0.5f * left[i], 1e-6);
        if (b > 0) *jump_db = fmax(*jump_db, fabs(now_db - last_db));
        last_db = now_db;
        before += in;
        after += out;
    }
    return 10.0 * log10(before / after);
}

/* The stages stop at 10 dB, the net goes on to the limit or as far as it wants to; the reports add
 * both up. */
static void test_a_net_goes_on_to_the_limit(void)
{
    static const float limits_db[] = {6.0f, 14.0f, 20.0f, 40.0f};
    static const double wanted_db[] = {6.0, 14.0, 20.0, 30.0}; /* 10 + 20 */
    ae_net_model *model = make_model(k_flat_net);
    for (int n = 0; n < 4; n++) {
        ae_suppressor *self = make_with_net(model, 1, limits_db[n]);
        ae_suppressor_report report;
        uint32_t seed = 9;
        double jump_db = 0.0;
        fall_of_noise(self, 100, &seed, &jump_db);
        CHECK_NEAR(fall_of_noise(self, 200, &seed, &jump_db), wanted_db[n], 1.5);
        ae_suppressor_read(self, &report);
        CHECK(report.tier == 1 && report.net_share == 1.0f);
        CHECK_NEAR(report.noise_reduction_db, wanted_db[n], 1.5);
        CHECK_NEAR(report.speech_probability, 0.9, 1e-3);
        ae_suppressor_destroy(self);
    }
    ae_net_model_destroy(model);
}

/* At a limit of 40 dB: where no net is at work noise is turned down as far as is said for that. */
static void test_without_its_net_it_has_a_limit_of_its_own(void)
{
    ae_net_model *model = make_model(k_flat_net);
    ae_suppressor *self = make_with_net(model, 1, 40.0f);
    CHECK(ae_suppressor_tier_within(self, 2) == 1 && ae_suppressor_tier_within(self, 0) == 0);
    ae_suppressor_set_tier(self, 0); /* there, and not wanted */
    CHECK(ae_suppressor_tier_within(self, 2) == 0);
    ae_suppressor_set_tier(self, 1);
    uint32_t seed = 9;
    double jump_db = 0.0;
    static const float unaided_db[] = {12.0f, 20.0f, NAN, -5.0f};
    static const double wanted_db[] = {12.0, 20.0, 20.0, 0.0};
    for (int n = 0; n < 4; n++) {
        ae_suppressor_set_unaided_limit_db(self, unaided_db[n]);
        ae_suppressor_hold_tier(self, 2);
        fall_of_noise(self, 150, &seed, &jump_db);
        CHECK_NEAR(fall_of_noise(self, 100, &seed, &jump_db), 30.0, 1.5);
        ae_suppressor_hold_tier(self, 0);
        ae_suppressor_set_tier(self, 1); /* wanted, and not to be had */
        fall_of_noise(self, 150, &seed, &jump_db);
        CHECK_NEAR(fall_of_noise(self, 100, &seed, &jump_db), wanted_db[n], 1.0);
    }
    ae_suppressor_destroy(self);
    self = make_with_net(NULL, 2, 40.0f);
    CHECK(ae_suppressor_tier_within(self, 2) == 0);
    ae_suppressor_set_unaided_limit_db(self, 12.0f);
    fall_of_noise(self, 150, &seed, &jump_db);
    CHECK_NEAR(fall_of_noise(self, 100, &seed, &jump_db), 12.0, 1.0);
    ae_suppressor_destroy(self);
    ae_net_model_destroy(model);
}

/* On, off and on again, at 20 dB with and without: what is heard stays there all the time. */
static void test_a_net_comes_and_goes_without_a_click(void)
{
    ae_net_model *model = make_model(k_flat_net);
    ae_suppressor *self = make_with_net(model, 0, 20.0f);
    ae_suppressor_report report;
    uint32_t seed = 9;
    double jump_db = 0.0, quiet_jump_db = 0.0;
    fall_of_noise(self, 200, &seed, &jump_db);
    fall_of_noise(self, 100, &seed, &quiet_jump_db);
    ae_suppressor_read(self, &report);
    CHECK(report.tier == 0 && report.net_share == 0.0f && report.speech_probability < 0.5f);
    for (int n = 0; n < 4; n++) {
        const int tier = n % 2 ? 0 : 2; /* there is no large one: the small one it is */
        ae_suppressor_set_tier(self, tier);
        jump_db = 0.0;
        CHECK_NEAR(fall_of_noise(self, 60, &seed, &jump_db), 20.0, 2.5);
        CHECK(jump_db < quiet_jump_db + 3.0);
        ae_suppressor_read(self, &report);
        CHECK(report.tier == (tier ? 1 : 0) && report.net_share == (tier ? 1.0f : 0.0f));
        CHECK(tier == 0 || report.speech_probability > 0.89f);
        CHECK(tier != 0 || report.speech_probability < 0.5f);
    }
    ae_suppressor_destroy(self);
    ae_net_model_destroy(model);
}

static void test_with_a_net_no_limit_is_a_delay_and_reset_is_new(void)
{
    ae_net_model *model = make_model(k_random_net);
    ae_suppressor *still = make_with_net(model, 1, 0.0f);
    ae_suppressor *used = make_with_net(model, 1, 20.0f), *fresh = make_with_net(model, 1, 20.0f);
    static float in[2][k_block], out[k_block], other[2][k_block], same[2][k_block];
    uint32_t seed = 6;
    const uint64_t allocations = ae_allocation_count();
    double error = 0.0;
    for (int t = 0; t < 100; t++) {
        float *now = in[t % 2], *last = in[(t + 1) % 2];
        for (int i = 0; i < k_block; i++) now[i] = 0.3f * ae_random(&seed);
        ae_suppressor_process(still, (const float *[]){now, now}, NULL, (float *[]){out, other[0]});
        ae_suppressor_process(used, (const float *[]){now, out}, NULL,
                              (float *[]){other[0], other[1]});
        for (int i = 0; t > 0 && i < k_block; i++)
            error = fmax(error, fabs((double)(out[i] - last[i])));
    }
    CHECK(error < 1e-5);
    ae_suppressor_reset(used);
    for (int t = 0; t < 100; t++) {
        for (int i = 0; i < k_block; i++)
            in[0][i] = (t % 30 < 10 ? 0.3f : 1e-3f) * ae_random(&seed);
        ae_suppressor_process(used, (const float *[]){in[0], in[0]}, NULL,
                              (float *[]){other[0], other[1]});
        ae_suppressor_process(fresh, (const float *[]){in[0], in[0]}, NULL,
                              (float *[]){same[0], same[1]});
        CHECK(memcmp(other, same, sizeof same) == 0);
        ae_suppressor_report a, b;
        ae_suppressor_read(used, &a);
        ae_suppressor_read(fresh, &b);
        CHECK(memcmp(&a, &b, sizeof a) == 0);
    }
    CHECK(ae_allocation_count() == allocations);
    ae_suppressor_destroy(still);
    ae_suppressor_destroy(used);
    ae_suppressor_destroy(fresh);
    ae_net_model_destroy(model);
}

static void test_in_place_reset_and_bad_weather(void)
{
    static const float levels[] = {0.0f, 64.0f, 1e-40f, 1e-3f};
    ae_net_model *model = make_model(k_random_net);
    for (int kind = 0; kind < 3; kind++) {
        const ae_net_model *own = kind == 2 ? model : NULL;
        rig used = make_rig_with_net(kind > 0, own), fresh = make_rig_with_net(kind > 0, own);
        const uint64_t allocations = ae_allocation_count();
        for (int t = 0; t < 640; t++) {
            float capture[k_block], far[k_block];
            for (int i = 0; i < k_block; i++) {
                capture[i] = i % 3 ? levels[t / 40 % 4] : -levels[t / 40 % 4];
                far[i] = (i + t) % 2 ? levels[t / 160] : -levels[t / 10 % 4];
            }
            ae_echo_filter_process(used.filter, capture, (const float *[]){far}, used.error);
            const ae_echo_view *view = ae_echo_filter_view(used.filter);
            ae_suppressor_process(used.suppressor, (const float *[]){used.error}, &view,
                                  (float *[]){used.error}); /* in place */
            for (int i = 0; i < k_block; i++) CHECK(fabsf(used.error[i]) <= 64.0f * 200.0f);
        }
        ae_echo_filter_reset(used.filter);
        ae_suppressor_reset(used.suppressor);
        for (int t = 0; t < 150; t++) {
            const float far_level = t < 100 ? 0.8f : 0.0f;
            step(&used, far_level, 0.2f, 1e-3f);
            step(&fresh, far_level, 0.2f, 1e-3f);
            CHECK(memcmp(used.out, fresh.out, sizeof used.out) == 0);
            ae_suppressor_report a, b;
            ae_suppressor_read(used.suppressor, &a);
            ae_suppressor_read(fresh.suppressor, &b);
            CHECK(memcmp(&a, &b, sizeof a) == 0);
        }
        CHECK(ae_allocation_count() == allocations);
        destroy_rig(&used);
        destroy_rig(&fresh);
    }
    ae_net_model_destroy(model);
}

int main(void)
{
    test_create_checks_every_field();
    test_without_echo_it_is_the_noise_stage();
    test_hum_is_named_and_turned_down();
    test_unit_gain_is_a_delay();
    test_white_noise_falls_to_the_limit();
    test_an_echo_is_taken_away();
    test_without_noise_and_far_end_it_is_a_delay();
    test_the_echo_stage_leaves_half_to_a_net();
    test_a_silent_far_end_is_none_to_the_net();
    test_the_noise_level_is_reported_without_the_noise_stage();
    test_the_noise_is_known_behind_an_echo();
    test_the_hole_is_filled_with_the_rooms_noise();
    test_a_net_goes_on_to_the_limit();
    test_without_its_net_it_has_a_limit_of_its_own();
    test_a_net_comes_and_goes_without_a_click();
    test_with_a_net_no_limit_is_a_delay_and_reset_is_new();
    test_in_place_reset_and_bad_weather();
    return AE_TEST_RESULT();
}
