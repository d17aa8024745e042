/* Truths: unit gain is a delay of one hop; white noise falls to the limit. */
#include "ae_math.h"
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

int main(void)
{
    test_unit_gain_is_a_delay();
    test_white_noise_falls_to_the_limit();
    return AE_TEST_RESULT();
}
