/* ae_math.h - small inline arithmetic shared by the kernels: levels, time constants, planes. */
#ifndef AE_MATH_H
#define AE_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static const float k_ae_pi = 3.14159265358979f;

/* The larger and the smaller: one instruction. fmaxf and fminf are calls into the C library without
 * -ffinite-math-only, and keep a loop from being vectorised. A NaN in `a` gives b. */
static inline float ae_max(float a, float b) { return a > b ? a : b; }
static inline float ae_min(float a, float b) { return a < b ? a : b; }

static inline float ae_clamp(float value, float low, float high)
{
    return value < low ? low : value > high ? high : value;
}

/* False for NaN. */
static inline int ae_in_range(float value, float low, float high)
{
    return value >= low && value <= high;
}

static inline int ae_clamp_int(int value, int low, int high)
{
    return value < low ? low : value > high ? high : value;
}

/* Amplitude and power ratios from and to decibels; the floor keeps silence finite (-200 dB). */
static inline float ae_amplitude_from_db(float level_db) { return powf(10.0f, level_db * 0.05f); }
static inline float ae_power_from_db(float level_db) { return powf(10.0f, level_db * 0.1f); }
static inline float ae_db_from_amplitude(float amplitude)
{
    return 20.0f * log10f(amplitude > 1e-10f ? amplitude : 1e-10f);
}
static inline float ae_db_from_power(float power)
{
    return 10.0f * log10f(power > 1e-20f ? power : 1e-20f);
}

/* Coefficient a of y += a (x - y), run once per `step_ms`, that closes 1 - 1/e of a step in
 * time_ms. */
static inline float ae_one_pole(float time_ms, float step_ms)
{
    return time_ms <= 0.0f ? 1.0f : 1.0f - expf(-step_ms / time_ms);
}

static inline void ae_copy(float *restrict to, const float *restrict from, int count)
{
    memcpy(to, from, (size_t)count * sizeof(float));
}

static inline void ae_zero(float *values, int count)
{
    memset(values, 0, (size_t)count * sizeof(float));
}

static inline void ae_fill(float *values, float value, int count)
{
    for (int i = 0; i < count; i++) values[i] = value;
}

static inline float ae_energy(const float *values, int count)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < count; i++) sum += values[i] * values[i];
    return sum;
}

static inline int ae_greatest_common_divisor(int a, int b)
{
    while (b != 0) {
        const int rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* xorshift32 (Marsaglia 2003): uniform in [-1, 1). The state must not be zero. */
static inline float ae_random(uint32_t *state)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    *state = x;
    return (float)(int32_t)x * (1.0f / 2147483648.0f);
}

#endif
