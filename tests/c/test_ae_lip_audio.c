/* Truths: a transform summed directly in double; the power sum of a sine; the middle of a burst,
 * which must lie where it was put at every sample rate. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ae_lip_audio.h"
#include "ae_lip_model.h"
#include "ae_math.h"
#include "ae_test.h"

static const double k_two_pi = 6.283185307179586;

enum { k_kept = 1000 };

static ae_lip_audio *make(int rate_hz)
{
    const ae_lip_audio_config config = {rate_hz, k_kept, 20.0f};
    ae_lip_audio *self = NULL;
    CHECK(ae_lip_audio_create(&self, &config) == AE_OK);
    return self;
}

/* In pieces of `block`; in == NULL: missing. */
static void push(ae_lip_audio *self, const float *in, int64_t frames, int block)
{
    const int piece = ae_lip_audio_piece(self) < block ? ae_lip_audio_piece(self) : block;
    for (int64_t at = 0; at < frames; at += piece) {
        const int count = frames - at < piece ? (int)(frames - at) : piece;
        ae_lip_audio_push(self, in == NULL ? NULL : in + at, count);
    }
}

static float *noise(int64_t frames, uint32_t seed)
{
    float *x = malloc((size_t)frames * sizeof(float));
    for (int64_t n = 0; n < frames; n++) x[n] = 0.2f * ae_random(&seed);
    return x;
}

static double mel_of(double hz) { return 2595.0 * log10(1.0 + hz / 700.0); }

/* The power spectrum of the frame at 16 kHz, summed directly. */
static void direct_power(const float *x, int length, int frame, double power[257])
{
    for (int k = 0; k <= 256; k++) {
        double re = 0.0, im = 0.0;
        for (int n = 0; n < 400; n++) {
            const int at = frame * 160 - 200 + n;
            if (at < 0 || at >= length) continue;
            const double y = (double)x[at] * (0.5 - 0.5 * cos(k_two_pi * n / 399.0));
            re += y * cos(k_two_pi * k * n / 512.0);
            im -= y * sin(k_two_pi * k * n / 512.0);
        }
        power[k] = re * re + im * im;
    }
}

static double mel_db(const double *power, int band)
{
    const double low = mel_of(80.0), step = (mel_of(7600.0) - low) / 25.0;
    double sum = 1e-5;
    for (int k = 0; k <= 256; k++) {
        const double up = (mel_of(k * 31.25) - low) / step - band;
        sum += power[k] * fmax(fmin(up, 2.0 - up), 0.0);
    }
    return 10.0 * log10(sum);
}

static void test_every_feature_against_direct_sums(void)
{
    static const int frames[] = {0, 1, 7, 30};
    float *x = noise(16000, 4);
    for (int n = 0; n < 16000; n++) x[n] *= n % 3000 < 1500 ? 1.0f : 0.01f;
    ae_lip_audio *self = make(16000);
    push(self, x, 16000, 160);
    for (int f = 0; f < 4; f++) {
        double power[257], sum = 1e-5;
        direct_power(x, 16000, frames[f], power);
        const float *row = ae_lip_audio_row(self, frames[f]);
        for (int b = 0; b < AE_LIP_FEATURES; b++) CHECK_NEAR(row[b], mel_db(power, b), 0.002);
        for (int k = 0; k <= 256; k++)
            if (k * 31.25 >= 80.0 && k * 31.25 < 7600.0) sum += power[k];
        /* a full-scale sine: half the transform times the sum of the squared window, halved */
        const double full = 10.0 * log10(256.0 * 0.375 * 399.0 / 2.0);
        CHECK_NEAR(row[AE_LIP_LEVEL], 10.0 * log10(sum) - full, 0.01);
        CHECK(row[AE_LIP_PRESENT] == 1.0f);
    }
    ae_lip_audio_destroy(self);
    free(x);
}

/* A sine of any rate reads its level in dBFS, and a burst's middle is where it was put. */
static void test_level_and_place_at_every_rate(void)
{
    static const int rates[] = {8000, 11025, 16000, 44100, 48000, 96000, 192000};
    for (int r = 0; r < 7; r++) {
        const int rate = rates[r], length = 3 * rate;
        float *x = malloc((size_t)length * sizeof(float));
        for (int n = 0; n < length; n++) {
            const double t = (double)n / rate, from = (t - 1.237) / 0.03;
            x[n] = (float)((t > 2.0 ? 0.1 : exp(-0.5 * from * from)) * sin(k_two_pi * 1000.0 * t));
        }
        ae_lip_audio *self = make(rate);
        push(self, x, length, 1 << 20);
        const int64_t made = ae_lip_audio_frames(self);
        CHECK(made >= 297 && made <= 299);
        CHECK_NEAR(ae_lip_audio_row(self, 250)[AE_LIP_LEVEL], -20.0, 0.1);
        double sum = 0.0, moment = 0.0;
        for (int f = 100; f < 150; f++) {
            const double power = pow(10.0, 0.1 * (double)ae_lip_audio_row(self, f)[AE_LIP_LEVEL]);
            sum += power;
            moment += power * f;
        }
        CHECK_NEAR(moment / sum * 0.01, 1.237, 0.0002);
        ae_lip_audio_destroy(self);
        free(x);
    }
}

static int same_rows(const ae_lip_audio *a, const ae_lip_audio *b, int64_t frames)
{
    int same = ae_lip_audio_frames(a) >= frames && ae_lip_audio_frames(b) >= frames;
    for (int64_t f = 0; same && f < frames; f++)
        same =
            memcmp(ae_lip_audio_row(a, f), ae_lip_audio_row(b, f), AE_LIP_ROW * sizeof(float)) == 0;
    return same;
}

static void test_blocking_and_reset(void)
{
    static const int blocks[] = {1, 17, 441};
    float *x = noise(44100, 8);
    x[20000] = NAN;
    x[30000] = 1e30f;
    x[30500] = -INFINITY;
    ae_lip_audio *whole = make(44100);
    push(whole, x, 44100, 1 << 20);
    const int64_t frames = ae_lip_audio_frames(whole);
    CHECK(ae_lip_audio_non_finite(whole) == 3);
    for (int b = 0; b < 3; b++) {
        ae_lip_audio *parts = make(44100);
        push(parts, x, 44100, blocks[b]);
        CHECK(ae_lip_audio_frames(parts) == frames && same_rows(whole, parts, frames));
        ae_lip_audio_reset(parts);
        CHECK(ae_lip_audio_frames(parts) == 0 && ae_lip_audio_non_finite(parts) == 0);
        const uint64_t allocations = ae_allocation_count();
        push(parts, x, 44100, 300);
        CHECK(ae_allocation_count() == allocations);
        CHECK(same_rows(whole, parts, frames));
        ae_lip_audio_destroy(parts);
    }
    ae_lip_audio_destroy(whole);
    free(x);
}

/* A broken sample marks the frames that hold it and leaves the others as they would have been. */
static void test_broken_samples_are_marked(void)
{
    float *x = noise(48000, 3);
    ae_lip_audio *clean = make(48000), *broken = make(48000);
    push(clean, x, 48000, 480);
    x[24000] = NAN; /* 0.5 s */
    push(broken, x, 48000, 480);
    for (int f = 0; f < 97; f++) {
        const float *a = ae_lip_audio_row(clean, f), *b = ae_lip_audio_row(broken, f);
        CHECK(a[AE_LIP_PRESENT] == 1.0f);
        CHECK(b[AE_LIP_PRESENT] == (f >= 49 && f <= 51 ? 0.0f : 1.0f));
        if (b[AE_LIP_PRESENT] == 1.0f) CHECK(memcmp(a, b, AE_LIP_PRESENT * sizeof(float)) == 0);
        for (int j = 0; j < AE_LIP_ROW; j++) CHECK(isfinite(b[j]));
    }
    ae_lip_audio_destroy(clean);
    ae_lip_audio_destroy(broken);
    free(x);
}

static void test_time_stamps(void)
{
    float *x = noise(48000, 6);
    ae_lip_audio *self = make(48000);
    CHECK(ae_lip_audio_place(self, 12.5, 480) == 0);
    CHECK(ae_lip_audio_start_s(self) == 12.5);
    push(self, x, 24000, 480);
    CHECK(ae_lip_audio_place(self, NAN, 480) == 0);
    CHECK(ae_lip_audio_place(self, 13.00005, 480) == 0 && ae_lip_audio_start_s(self) == 12.5);
    /* 20 ms late for 10 s: two time constants */
    for (int i = 0; i < 1000; i++) {
        const double now_s = 13.0 + 0.01 * i;
        CHECK(ae_lip_audio_place(self, now_s + 0.02, 480) == 0);
        push(self, x + (i % 100) * 480, 480, 480);
    }
    CHECK_NEAR(ae_lip_audio_start_s(self), 12.5 + 0.02 * (1.0 - exp(-2.0)), 0.0005);
    const double end_s = ae_lip_audio_start_s(self) + 10.5;
    const int64_t missing = ae_lip_audio_place(self, end_s + 0.3, 480);
    CHECK_NEAR(missing, 0.3 * 48000, 1.0);
    push(self, NULL, missing, 480);
    push(self, x, 48000, 480);
    int marked = 0;
    for (int64_t f = ae_lip_audio_oldest(self); f < ae_lip_audio_frames(self); f++)
        marked += ae_lip_audio_row(self, f)[AE_LIP_PRESENT] == 0.0f;
    CHECK(marked >= 30 && marked <= 34);
    CHECK(ae_lip_audio_place(self, end_s - 5.0, 480) == -1); /* back */
    CHECK(ae_lip_audio_frames(self) == 0 && ae_lip_audio_start_s(self) == end_s - 5.0);
    push(self, x, 48000, 480);
    CHECK(ae_lip_audio_place(self, end_s + 500.0, 480) == -1); /* too far on */
    ae_lip_audio_destroy(self);
    free(x);
}

/* One block is stamped 80 ms late: a hole as long before it, and as much less after it. The rest is
 * where it was. */
static void test_one_late_stamp(void)
{
    float *x = noise(3 * 48000, 6);
    ae_lip_audio *even = make(48000), *uneven = make(48000);
    push(even, x, 3 * 48000, 480);
    for (int i = 0; i < 300; i++) {
        const int64_t missing = ae_lip_audio_place(uneven, 0.01 * i + (i == 100 ? 0.08 : 0.0), 480);
        CHECK(missing == (i == 100 ? 3840 : 0));
        push(uneven, NULL, missing, 480);
        ae_lip_audio_push(uneven, x + i * 480, 480);
    }
    CHECK(ae_lip_audio_start_s(uneven) == 0.0);
    CHECK(ae_lip_audio_frames(uneven) == ae_lip_audio_frames(even));
    for (int64_t f = 0; f < ae_lip_audio_frames(even); f++) {
        if (f > 97 && f < 113) continue;
        const float *a = ae_lip_audio_row(even, f), *b = ae_lip_audio_row(uneven, f);
        CHECK(memcmp(a, b, AE_LIP_ROW * sizeof(float)) == 0);
    }
    CHECK(ae_lip_audio_place(uneven, 2.05, 480) == 0); /* 0.95 s are there already */
    push(uneven, x, 45600, 480);
    CHECK_NEAR(ae_lip_audio_frames(uneven), ae_lip_audio_frames(even), 0.0);
    CHECK(ae_lip_audio_place(uneven, 3.3, 480) == 14400);
    push(uneven, NULL, 14400, 480);
    CHECK(ae_lip_audio_place(uneven, 2.5, 480) == 0);
    CHECK(ae_lip_audio_place(uneven, 3.0, 480) == 0); /* and on again, half of the way */
    push(uneven, x, 14400, 480);
    CHECK_NEAR(ae_lip_audio_frames(uneven), ae_lip_audio_frames(even) + 30, 1.0);
    CHECK(ae_lip_audio_place(uneven, 2.25, 480) == -1);
    ae_lip_audio_destroy(even);
    ae_lip_audio_destroy(uneven);
    free(x);
}

static void test_bad_weather(void)
{
    static const float values[] = {0.0f, 1.0f, -1.0f, 1e-40f, 3e38f, 9e5f};
    float x[480];
    ae_lip_audio *self = make(48000);
    for (int v = 0; v < 6; v++) {
        for (int n = 0; n < 480; n++) x[n] = values[v];
        for (int i = 0; i < 100; i++) ae_lip_audio_push(self, x, 480);
    }
    uint32_t seed = 1;
    for (int i = 0; i < 100; i++) { /* and recovers within 100 ms */
        for (int n = 0; n < 480; n++) x[n] = 0.1f * ae_random(&seed);
        ae_lip_audio_push(self, x, 480);
    }
    for (int64_t f = ae_lip_audio_oldest(self); f < ae_lip_audio_frames(self); f++) {
        const float *row = ae_lip_audio_row(self, f);
        for (int j = 0; j < AE_LIP_ROW; j++) CHECK(isfinite(row[j]) && fabsf(row[j]) < 250.0f);
        /* uniform noise of 0.1 against a sine of 1, and 7.5 of its 24 kHz */
        if (f >= 610) CHECK_NEAR(row[AE_LIP_LEVEL], -21.8 - 5.0, 2.0);
    }
    ae_lip_audio_destroy(self);
}

static void test_create(void)
{
    const ae_lip_audio_config bad[] = {{7999, 10, 1.0f},
                                       {192001, 10, 1.0f},
                                       {48000, 0, 1.0f},
                                       {48000, 10, 0.0f},
                                       {48000, 10, NAN}};
    for (int i = 0; i < 5; i++) {
        ae_lip_audio *self = NULL;
        CHECK(ae_lip_audio_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_lip_audio_destroy(NULL);
}

int main(void)
{
    test_every_feature_against_direct_sums();
    test_level_and_place_at_every_rate();
    test_blocking_and_reset();
    test_broken_samples_are_marked();
    test_time_stamps();
    test_one_late_stamp();
    test_bad_weather();
    test_create();
    return AE_TEST_RESULT();
}
