/* Truth: ae_mask_net asked directly, with the features of training/README.md in double precision;
 * nets whose weights are 0 answer by their biases alone. */
#include "ae_net_stage.h"

#include "ae_mask_net.h"
#include "ae_net_file.h"
#include "ae_test.h"

enum {
    k_rate = 16000,
    k_hop = 160,
    k_fft = 512,
    k_most_bins = 1537,
    k_points = AE_MASK_NET_POINTS,
    k_singles = AE_MASK_NET_SINGLES
};

static const float k_scale = 1.0f / 256.0f;
static const net_recipe k_random = {
    .channels = 16, .full = 32, .layers = 2, .size = 0.6f, .gain_bias = 0.5f, .seed = 11};
/* Gains 0.01 and 0.1, speech 0.9 and 0.2. */
static const net_recipe k_deep = {.channels = 8,
                                  .full = 8,
                                  .layers = 1,
                                  .gain_bias = -4.59512f,
                                  .speech_bias = 2.19722f,
                                  .seed = 1};
static const net_recipe k_flat = {.channels = 8,
                                  .full = 8,
                                  .layers = 1,
                                  .gain_bias = -2.19722f,
                                  .speech_bias = -1.38629f,
                                  .seed = 1};

static float re[AE_MAX_CHANNELS][k_most_bins], im[AE_MAX_CHANNELS][k_most_bins];
static float power[k_most_bins], classical[k_most_bins], gain[k_most_bins], ones[k_most_bins];

static ae_net_stage_config config_of(int rate, int channels, const ae_net_model *small_model,
                                     const ae_net_model *large_model, int tier)
{
    const int hop = ae_block_frames(rate);
    return (ae_net_stage_config){.sample_rate_hz = rate,
                                 .channels = channels,
                                 .hop_frames = hop,
                                 .fft_size = rate == 8000    ? 256
                                             : rate == 48000 ? 1536
                                                             : k_fft,
                                 .power_scale = k_scale / (float)channels,
                                 .small_model = small_model,
                                 .large_model = large_model,
                                 .tier = tier};
}

static ae_net_stage *make(int rate, int channels, const ae_net_model *small_model,
                          const ae_net_model *large_model, int tier)
{
    const ae_net_stage_config config = config_of(rate, channels, small_model, large_model, tier);
    ae_net_stage *self = NULL;
    CHECK(ae_net_stage_create(&self, &config) == AE_OK);
    ae_fill(ones, 1.0f, k_most_bins);
    return self;
}

static ae_net_stage_hop hop_of(float *planes_re[], float *planes_im[], int channels)
{
    for (int c = 0; c < channels; c++) {
        planes_re[c] = re[c];
        planes_im[c] = im[c];
    }
    return (ae_net_stage_hop){.re = planes_re, .im = planes_im, .power = power, .gain = classical};
}

/* White noise, another in each channel, that comes and goes. */
static void play(int bins, int channels, int t, uint32_t *seed)
{
    const float level = t / 20 % 2 ? 3.0f : 0.1f;
    ae_zero(power, k_most_bins);
    ae_fill(classical, 1.0f, k_most_bins);
    for (int c = 0; c < channels; c++)
        for (int k = 0; k < bins; k++) {
            re[c][k] = level * ae_random(seed);
            im[c][k] = level * ae_random(seed);
            power[k] += k_scale / (float)channels * (re[c][k] * re[c][k] + im[c][k] * im[c][k]);
        }
}

static void step(ae_net_stage *self, int channels, float attenuation_db)
{
    float *planes_re[AE_MAX_CHANNELS], *planes_im[AE_MAX_CHANNELS];
    const ae_net_stage_hop hop = hop_of(planes_re, planes_im, channels);
    ae_net_stage_process(self, &hop, attenuation_db, gain);
}

static ae_net_stage_report read(const ae_net_stage *self)
{
    ae_net_stage_report report;
    ae_net_stage_read(self, &report);
    return report;
}

static int first_bin(int point) /* up to 8 kHz, of 31.25 Hz */
{
    return point <= 64 ? point : point <= 80 ? 64 + 4 * (point - 64) : 128 + 8 * (point - 80);
}

static void find_features(const double *spectrum, int bins, double level, float *features)
{
    static const int high[] = {256, 320, 400, 512, 640};
    for (int p = 0; p < k_points; p++) {
        const int begin = p < 96 ? first_bin(p) : high[p - 96];
        const int end = p < 96 ? first_bin(p + 1) : high[p - 95];
        double sum = 0.0;
        for (int k = begin; k < end && (p < 96 || end < bins); k++)
            if (k < bins) sum += spectrum[k];
        features[p] = (float)((log10(sum / (end - begin) / level + 1e-7) + 3.0) / 2.0);
    }
}

/* The second channel is the first one turned, so that its phases say something else. */
static void test_it_is_the_net_on_the_features(int rate, int channels)
{
    const int bins = rate == 8000 ? 129 : rate == 48000 ? 769 : 257;
    const double hop_frames = rate / 100;
    ae_net_model *model = make_model(k_random);
    ae_net_stage *self = make(rate, channels, model, NULL, 1);
    ae_mask_net *net = NULL;
    CHECK(ae_mask_net_create(&net, model, 0.3125f) == AE_OK);
    static double late_re[2][2][k_singles], late_im[2][2][k_singles], x_re[2][k_most_bins],
        x_im[2][k_most_bins];
    memset(late_re, 0, sizeof late_re);
    memset(late_im, 0, sizeof late_im);
    double level = 0.0;
    uint32_t seed = 3;
    for (int t = 0; t < 100; t++) {
        play(bins, channels, t, &seed);
        for (int k = 0; k < bins; k++) classical[k] = 0.5f;
        static double spectrum[k_most_bins], before[k_most_bins];
        static float heard[k_points], aside[k_points], mid_re[k_singles], mid_im[k_singles];
        double mean = 0.0;
        for (int k = 0; k < bins; k++) {
            spectrum[k] = 0.0;
            for (int c = 0; c < channels; c++) {
                x_re[c][k] = (double)re[c][k];
                x_im[c][k] = (double)im[c][k];
                spectrum[k] += (x_re[c][k] * x_re[c][k] + x_im[c][k] * x_im[c][k]) /
                               (hop_frames * hop_frames * channels);
            }
            if (k < 256) mean += spectrum[k] / 256.0;
            power[k] *= 4.0f; /* before the classical gain of 0.5 */
            before[k] = 4.0 * spectrum[k];
            if (k >= k_singles) continue;
            mid_re[k] = mid_im[k] = 0.0f;
            for (int c = 0; c < channels; c++) {
                mid_re[k] += (float)(x_re[c][k] / (hop_frames * channels));
                mid_im[k] += (float)(x_im[c][k] / (hop_frames * channels));
            }
        }
        if (t == 0) level = mean;
        level += (mean > level ? 0.05 : 0.005) * (mean - level);
        find_features(spectrum, bins, level, heard);
        find_features(before, bins, level, aside);
        const ae_mask_net_hop hop = {.heard = heard, .aside = {aside}, .re = mid_re, .im = mid_im};
        ae_mask_net_answer answer;
        ae_mask_net_process(net, &hop, &answer);
        step(self, channels, 40.0f);
        CHECK_NEAR(read(self).speech_probability, answer.speech, 1e-4);
        for (int c = 0; c < channels; c++)
            for (int k = 0; k < bins; k++) {
                int point = 0;
                while (point < 95 && first_bin(point + 1) <= k) point++;
                if (k >= 256 && rate == 48000) point = 96 + (k >= 320) + (k >= 400) + (k >= 512);
                double sum_re = x_re[c][k], sum_im = x_im[c][k];
                for (int n = 0; k < k_singles && n < 3; n++) {
                    const double tap_re = (double)answer.tap_re[n * k_singles + k];
                    const double tap_im = (double)answer.tap_im[n * k_singles + k];
                    const double angle = 2.0 * 3.14159265358979323846 * 0.3125 * n * k;
                    const double a = n ? late_re[c][n - 1][k] : x_re[c][k];
                    const double b = n ? late_im[c][n - 1][k] : x_im[c][k];
                    const double turned_re = a * cos(angle) - b * sin(angle);
                    const double turned_im = a * sin(angle) + b * cos(angle);
                    sum_re += tap_re * turned_re - tap_im * turned_im;
                    sum_im += tap_re * turned_im + tap_im * turned_re;
                }
                CHECK_NEAR(re[c][k], (double)answer.gain[point] * sum_re, 1e-3);
                CHECK_NEAR(im[c][k], (double)answer.gain[point] * sum_im, 1e-3);
                CHECK_NEAR(gain[k], answer.gain[point], 1e-4);
            }
        for (int c = 0; c < channels; c++)
            for (int k = 0; k < k_singles; k++) {
                late_re[c][1][k] = late_re[c][0][k];
                late_im[c][1][k] = late_im[c][0][k];
                late_re[c][0][k] = x_re[c][k];
                late_im[c][0][k] = x_im[c][k];
            }
    }
    ae_mask_net_destroy(net);
    ae_net_stage_destroy(self);
    ae_net_model_destroy(model);
}

/* The net would take 40 dB. */
static void test_the_limit_holds_with_the_classical_gain(void)
{
    static const float limits_db[] = {0.0f, 6.0f, 20.0f, 30.0f, 35.0f, 40.0f};
    static const float wanted_db[] = {0.0f, 6.0f, 20.0f, 30.0f, 45.0f, 46.0f}; /* 6 + 40 */
    static const float classical_db = 6.0f, echo_db = 3.0f;
    ae_net_model *model = make_model(k_deep);
    for (int n = 0; n < 6; n++)
        for (int echo = 0; echo < 2; echo++) {
            ae_net_stage *self = make(k_rate, 1, model, NULL, 1);
            static float echo_gain[k_most_bins];
            uint32_t seed = 3;
            play(257, 1, 0, &seed);
            ae_fill(classical, ae_amplitude_from_db(-classical_db), 257);
            ae_fill(echo_gain, ae_amplitude_from_db(-echo_db), 257);
            float *planes_re[1], *planes_im[1];
            ae_net_stage_hop hop = hop_of(planes_re, planes_im, 1);
            if (echo) hop.echo_gain = echo_gain;
            const float before = re[0][10], high = im[0][200];
            ae_net_stage_process(self, &hop, limits_db[n], gain);
            const double least = ae_max(wanted_db[n] + (echo ? echo_db : 0.0f), classical_db);
            const double all = fmin(least, 46.0);
            for (int k = 0; k < 257; k++)
                CHECK_NEAR(20.0 * log10((double)(gain[k] * classical[k])), -all, 0.05);
            CHECK_NEAR(re[0][10], before * gain[10], 1e-5);
            CHECK_NEAR(im[0][200], high * gain[200], 1e-6);
            ae_net_stage_destroy(self);
        }
    ae_net_model_destroy(model);
}

static void test_with_no_limit_nothing_changes(void)
{
    ae_net_model *model = make_model(k_random);
    ae_net_stage *self = make(k_rate, 2, model, NULL, 1);
    uint32_t seed = 3;
    for (int t = 0; t < 30; t++) {
        play(257, 2, t, &seed);
        static float was_re[2][k_most_bins], was_im[2][k_most_bins];
        memcpy(was_re, re, sizeof was_re);
        memcpy(was_im, im, sizeof was_im);
        step(self, 2, 0.0f);
        for (int c = 0; c < 2; c++)
            for (int k = 0; k < 257; k++)
                CHECK(re[c][k] == was_re[c][k] && im[c][k] == was_im[c][k]);
        CHECK(gain[0] == 1.0f && gain[256] == 1.0f);
    }
    ae_net_stage_destroy(self);
    ae_net_model_destroy(model);
}

static void test_the_next_lower_tier_there_is(void)
{
    ae_net_model *model = make_model(k_flat);
    const ae_net_model *models[4][2] = {{NULL, NULL}, {model, NULL}, {NULL, model}, {model, model}};
    static const int wanted[4][3] = {{0, 0, 0}, {0, 1, 1}, {0, 0, 2}, {0, 1, 2}};
    for (int n = 0; n < 4; n++)
        for (int tier = 0; tier < 3; tier++) {
            ae_net_stage *self = make(k_rate, 1, models[n][0], models[n][1], tier);
            CHECK(read(self).tier == wanted[n][tier]);
            CHECK(read(self).share == (wanted[n][tier] ? 1.0f : 0.0f));
            ae_net_stage_set_tier(self, 7);
            ae_net_stage_reset(self);
            CHECK(read(self).tier == wanted[n][2]);
            ae_net_stage_set_tier(self, -1);
            ae_net_stage_reset(self);
            CHECK(read(self).tier == 0 && read(self).speech_probability == 0.0f);
            ae_net_stage_destroy(self);
        }
    ae_net_model_destroy(model);
}

/* From tier to tier: the gain moves in small steps, the new net is not heard for 0.3 s, and what
 * is heard at the end is the new one's. */
static void test_tiers_change_without_a_click(void)
{
    static const int tiers[] = {1, 2, 0, 2, 1, 0, 1};
    static const float gains[] = {1.0f, 0.1f, 0.01f}, speech[] = {0.0f, 0.2f, 0.9f};
    ae_net_model *small_model = make_model(k_flat), *large_model = make_model(k_deep);
    ae_net_stage *self = make(k_rate, 1, small_model, large_model, tiers[0]);
    uint32_t seed = 3;
    float last = gains[1];
    for (int n = 0; n < 7; n++) {
        ae_net_stage_set_tier(self, tiers[n]);
        int quiet_hops = 0;
        for (int t = 0; t < 60; t++) {
            play(257, 1, t, &seed);
            step(self, 1, 40.0f);
            CHECK(fabsf(gain[100] - last) < 0.21f);
            last = gain[100];
            const ae_net_stage_report report = read(self);
            CHECK(ae_in_range(report.share, 0.0f, 1.0f));
            CHECK_NEAR(gain[100], 1.0f + report.share * (gains[report.tier] - 1.0f), 1e-4);
            quiet_hops += report.share == 0.0f;
        }
        CHECK(n == 0 || tiers[n] == 0 || quiet_hops >= 30);
        CHECK(read(self).tier == tiers[n] && read(self).share == (tiers[n] ? 1.0f : 0.0f));
        CHECK_NEAR(read(self).speech_probability, speech[tiers[n]], 1e-4);
    }
    /* Called back before it has gone: no restart. */
    ae_net_stage_set_tier(self, 0);
    for (int t = 0; t < 3; t++) step(self, 1, 40.0f);
    ae_net_stage_set_tier(self, 1);
    for (int t = 0; t < 10; t++) step(self, 1, 40.0f);
    CHECK(read(self).tier == 1 && read(self).share == 1.0f);
    ae_net_stage_destroy(self);
    ae_net_model_destroy(small_model);
    ae_net_model_destroy(large_model);
}

/* Music fades the net's share out and in, at the pace of a change of tier, and half where it is
 * half sure. */
static void test_music_is_left_alone(void)
{
    static const float music[] = {0.0f, 1.0f, 0.5f, 0.0f};
    ae_net_model *model = make_model(k_flat);
    ae_net_stage *self = make(k_rate, 1, model, NULL, 1);
    float *planes_re[1], *planes_im[1];
    uint32_t seed = 3;
    float last = 0.1f;
    for (int n = 0; n < 4; n++) {
        for (int t = 0; t < 20; t++) {
            play(257, 1, t, &seed);
            ae_net_stage_hop hop = hop_of(planes_re, planes_im, 1);
            hop.music = music[n];
            const float before = re[0][10];
            ae_net_stage_process(self, &hop, 40.0f, gain);
            CHECK(fabsf(gain[100] - last) < 0.1f);
            last = gain[100];
            if (music[n] == 1.0f && t >= 12)
                CHECK_NEAR(re[0][10], before, 1e-5 * fabs((double)before));
        }
        CHECK_NEAR(read(self).share, 1.0f - music[n], 1e-5);
        CHECK_NEAR(gain[100], 0.1f + 0.9f * music[n], 1e-4);
    }
    ae_net_stage_destroy(self);
    ae_net_model_destroy(model);
}

/* After hops that no sound has, the answer is soon what it would have been without them. */
static void test_bad_weather_is_not_learned(void)
{
    static const float values[] = {0.0f, 1e-40f, 1e5f, 3e38f, -3e38f, INFINITY, NAN, -NAN};
    ae_net_model *model = make_model(k_random);
    const uint64_t before = ae_allocation_count();
    for (int kind = 0; kind < 8; kind++) {
        ae_net_stage *self = make(k_rate, 1, model, NULL, 1);
        ae_net_stage *calm = make(k_rate, 1, model, NULL, 1);
        const uint64_t allocations = ae_allocation_count();
        uint32_t seed = 3, calm_seed = 3;
        for (int t = 0; t < 60; t++) {
            if (t == 30)
                for (int n = 0; n < 5; n++) {
                    ae_fill(re[0], values[kind], 257);
                    ae_fill(im[0], values[kind], 257);
                    ae_fill(power, values[kind], 257);
                    step(self, 1, 20.0f);
                    for (int k = 0; k < 257; k++) CHECK(ae_in_range(gain[k], 0.0f, 1.0f));
                }
            static float calm_gain[257], calm_re[257];
            play(257, 1, t, &calm_seed);
            step(calm, 1, 20.0f);
            ae_copy(calm_gain, gain, 257);
            ae_copy(calm_re, re[0], 257);
            play(257, 1, t, &seed);
            step(self, 1, 20.0f);
            for (int k = 0; k < 257; k++) {
                CHECK(ae_in_range(re[0][k], -100.0f, 100.0f));
                CHECK(ae_in_range(im[0][k], -100.0f, 100.0f));
                if (t >= 40) CHECK_NEAR(gain[k], calm_gain[k], 0.05);
            }
        }
        CHECK(ae_allocation_count() == allocations);
        ae_net_stage_destroy(self);
        ae_net_stage_destroy(calm);
    }
    CHECK(ae_allocation_count() > before);
    ae_net_model_destroy(model);
}

static void test_reset_is_new_and_two_share_a_model(void)
{
    ae_net_model *model = make_model(k_random);
    ae_net_stage *used = make(k_rate, 2, model, model, 2),
                 *fresh = make(k_rate, 2, model, model, 1);
    uint32_t seed = 3, other = 4;
    for (int t = 0; t < 77; t++) {
        play(257, 2, t, &other);
        step(used, 2, 20.0f);
    }
    ae_net_stage_set_tier(used, 1);
    ae_net_stage_reset(used);
    for (int t = 0; t < 80; t++) {
        static float copy_re[2][k_most_bins], copy_im[2][k_most_bins];
        play(257, 2, t, &seed);
        memcpy(copy_re, re, sizeof copy_re);
        memcpy(copy_im, im, sizeof copy_im);
        step(used, 2, 20.0f);
        static float first_re[2][k_most_bins];
        memcpy(first_re, re, sizeof first_re);
        memcpy(re, copy_re, sizeof copy_re);
        memcpy(im, copy_im, sizeof copy_im);
        step(fresh, 2, 20.0f);
        CHECK(memcmp(first_re, re, sizeof first_re) == 0);
        const ae_net_stage_report a = read(used), b = read(fresh);
        CHECK(memcmp(&a, &b, sizeof a) == 0);
    }
    ae_net_stage_destroy(used);
    ae_net_stage_destroy(fresh);
    ae_net_stage_destroy(NULL);
    ae_net_model_destroy(model);
}

static void test_create_checks_every_field(void)
{
    ae_net_model *model = make_model(k_flat);
    ae_net_stage_config bad[11];
    for (int i = 0; i < 11; i++) bad[i] = config_of(k_rate, 1, model, NULL, 1);
    bad[0].sample_rate_hz = 7999;
    bad[1].sample_rate_hz = 96001;
    bad[2].channels = 0;
    bad[3].channels = AE_MAX_CHANNELS + 1;
    bad[4].hop_frames = 0;
    bad[5].fft_size = 126;
    bad[6].power_scale = 0.0f;
    bad[7].power_scale = 1.1f;
    bad[8].power_scale = NAN;
    bad[9].tier = -1;
    bad[10].tier = 3;
    for (int i = 0; i < 11; i++) {
        ae_net_stage *self = (ae_net_stage *)&bad;
        CHECK(ae_net_stage_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_net_model_destroy(model);
}

int main(void)
{
    test_create_checks_every_field();
    test_it_is_the_net_on_the_features(8000, 1);
    test_it_is_the_net_on_the_features(16000, 2);
    test_it_is_the_net_on_the_features(48000, 1);
    test_the_limit_holds_with_the_classical_gain();
    test_with_no_limit_nothing_changes();
    test_the_next_lower_tier_there_is();
    test_tiers_change_without_a_click();
    test_music_is_left_alone();
    test_bad_weather_is_not_learned();
    test_reset_is_new_and_two_share_a_model();
    return AE_TEST_RESULT();
}
