#include "ae_fft.h"

#include "ae_math.h"

enum { k_min_size = 4, k_max_size = 65536, k_max_passes = 16 };

typedef struct {
    int radix;
    int rows;    /* m: rows of this pass; each has its own twiddles */
    int columns; /* s: product of the radices already done; the inner loop once it is long */
    const float *twiddle_re, *twiddle_im; /* [radix - 1][rows] */
} fft_pass;

struct ae_fft {
    int size; /* real samples */
    int half; /* complex points */
    int pass_count;
    fft_pass passes[k_max_passes];
    float *split_re, *split_im; /* exp(-2 pi i k / size), k = 0 .. half / 2 */
    float *work_re[2], *work_im[2];
};

/* One column of a row of butterflies: leg k of column i is element k * leg + i * stride. */
typedef struct {
    const float *re, *im;
    int leg, stride;
} fft_source;

typedef struct {
    float *re, *im;
    int leg, stride;
} fft_sink;

typedef struct {
    const float *re, *im;
    int leg, stride;
    int used; /* 0: all factors are 1. Known at compile time, like the strides */
} fft_turns;

typedef struct {
    float re, im;
} point;

/* The layouts of a pass; one copy of each loop is compiled per layout. */
typedef enum {
    k_first_interleaved, /* reads the even and odd samples of a signal, columns == 1 */
    k_first,             /* columns == 1 */
    k_middle,
    k_last,             /* rows == 1: no twiddles */
    k_last_interleaved, /* rows == 1: writes even and odd samples */
} fft_layout;

#define FFT_INLINE static inline __attribute__((always_inline))

FFT_INLINE point load(fft_source x, int leg, int i)
{
    return (point){x.re[leg * x.leg + i * x.stride], x.im[leg * x.leg + i * x.stride]};
}

FFT_INLINE void store(fft_sink y, int leg, int i, point value)
{
    y.re[leg * y.leg + i * y.stride] = value.re;
    y.im[leg * y.leg + i * y.stride] = value.im;
}

FFT_INLINE point turn(fft_turns w, int leg, int i, point value)
{
    if (!w.used) return value;
    const int at = (leg - 1) * w.leg + i * w.stride;
    const point t = {w.re[at], w.im[at]};
    return (point){value.re * t.re - value.im * t.im, value.re * t.im + value.im * t.re};
}

FFT_INLINE point add(point a, point b) { return (point){a.re + b.re, a.im + b.im}; }
FFT_INLINE point sub(point a, point b) { return (point){a.re - b.re, a.im - b.im}; }
FFT_INLINE point scaled(float scale, point a) { return (point){scale * a.re, scale * a.im}; }
FFT_INLINE point add_i(point a, point b) { return (point){a.re - b.im, a.im + b.re}; } /* a + i b */
FFT_INLINE point sub_i(point a, point b) { return (point){a.re + b.im, a.im - b.re}; } /* a - i b */

typedef struct {
    point at0, at1, at2, at3;
} quad;

FFT_INLINE quad dft4(point a, point b, point c, point d)
{
    const point even = add(a, c), odd = add(b, d), even_dif = sub(a, c), odd_dif = sub(b, d);
    return (quad){add(even, odd), sub_i(even_dif, odd_dif), sub(even, odd),
                  add_i(even_dif, odd_dif)};
}

FFT_INLINE void radix2(int count, fft_source x, fft_sink y, fft_turns w)
{
#pragma omp simd
    for (int i = 0; i < count; i++) {
        const point a = load(x, 0, i), b = load(x, 1, i);
        store(y, 0, i, add(a, b));
        store(y, 1, i, turn(w, 1, i, sub(a, b)));
    }
}

FFT_INLINE void radix3(int count, fft_source x, fft_sink y, fft_turns w)
{
    const float sine = 0.866025403784438647f; /* sin(2 pi / 3) */
#pragma omp simd
    for (int i = 0; i < count; i++) {
        const point a = load(x, 0, i), b = load(x, 1, i), c = load(x, 2, i);
        const point sum = add(b, c), side = scaled(sine, sub(b, c));
        const point middle = sub(a, scaled(0.5f, sum));
        store(y, 0, i, add(a, sum));
        store(y, 1, i, turn(w, 1, i, sub_i(middle, side)));
        store(y, 2, i, turn(w, 2, i, add_i(middle, side)));
    }
}

FFT_INLINE void radix4(int count, fft_source x, fft_sink y, fft_turns w)
{
#pragma omp simd
    for (int i = 0; i < count; i++) {
        const quad out = dft4(load(x, 0, i), load(x, 1, i), load(x, 2, i), load(x, 3, i));
        store(y, 0, i, out.at0);
        store(y, 1, i, turn(w, 1, i, out.at1));
        store(y, 2, i, turn(w, 2, i, out.at2));
        store(y, 3, i, turn(w, 3, i, out.at3));
    }
}

FFT_INLINE void radix5(int count, fft_source x, fft_sink y, fft_turns w)
{
    const float cos1 = 0.309016994374947424f, cos2 = -0.809016994374947424f; /* cos(2 pi k / 5) */
    const float sin1 = 0.951056516295153572f, sin2 = 0.587785252292473129f;  /* sin(2 pi k / 5) */
#pragma omp simd
    for (int i = 0; i < count; i++) {
        const point a = load(x, 0, i), b = load(x, 1, i), c = load(x, 2, i);
        const point d = load(x, 3, i), e = load(x, 4, i);
        const point sum1 = add(b, e), sum2 = add(c, d), dif1 = sub(b, e), dif2 = sub(c, d);
        const point middle1 = add(a, add(scaled(cos1, sum1), scaled(cos2, sum2)));
        const point middle2 = add(a, add(scaled(cos2, sum1), scaled(cos1, sum2)));
        const point side1 = add(scaled(sin1, dif1), scaled(sin2, dif2));
        const point side2 = sub(scaled(sin2, dif1), scaled(sin1, dif2));
        store(y, 0, i, add(a, add(sum1, sum2)));
        store(y, 1, i, turn(w, 1, i, sub_i(middle1, side1)));
        store(y, 2, i, turn(w, 2, i, sub_i(middle2, side2)));
        store(y, 3, i, turn(w, 3, i, add_i(middle2, side2)));
        store(y, 4, i, turn(w, 4, i, add_i(middle1, side1)));
    }
}

FFT_INLINE void radix8(int count, fft_source x, fft_sink y, fft_turns w)
{
    const float r = 0.707106781186547524f; /* sqrt(1/2) */
#pragma omp simd
    for (int i = 0; i < count; i++) {
        const quad even = dft4(load(x, 0, i), load(x, 2, i), load(x, 4, i), load(x, 6, i));
        const quad odd = dft4(load(x, 1, i), load(x, 3, i), load(x, 5, i), load(x, 7, i));
        /* odd.at1 and odd.at3 times exp(-i pi / 4) and exp(-3 i pi / 4) */
        const point odd1 = {r * (odd.at1.re + odd.at1.im), r * (odd.at1.im - odd.at1.re)};
        const point odd3 = {r * (odd.at3.im - odd.at3.re), -r * (odd.at3.im + odd.at3.re)};
        store(y, 0, i, add(even.at0, odd.at0));
        store(y, 1, i, turn(w, 1, i, add(even.at1, odd1)));
        store(y, 2, i, turn(w, 2, i, sub_i(even.at2, odd.at2)));
        store(y, 3, i, turn(w, 3, i, add(even.at3, odd3)));
        store(y, 4, i, turn(w, 4, i, sub(even.at0, odd.at0)));
        store(y, 5, i, turn(w, 5, i, sub(even.at1, odd1)));
        store(y, 6, i, turn(w, 6, i, add_i(even.at2, odd.at2)));
        store(y, 7, i, turn(w, 7, i, sub(even.at3, odd3)));
    }
}

FFT_INLINE void butterflies(int radix, int count, fft_source x, fft_sink y, fft_turns w)
{
    if (radix == 2) radix2(count, x, y, w);
    if (radix == 3) radix3(count, x, y, w);
    if (radix == 4) radix4(count, x, y, w);
    if (radix == 5) radix5(count, x, y, w);
    if (radix == 8) radix8(count, x, y, w);
}

FFT_INLINE void middle_rows(const fft_pass *pass, int radix, int s, const float *in_re,
                            const float *in_im, float *out_re, float *out_im)
{
    const int m = pass->rows;
    for (int p = 0; p < m; p++) {
        const fft_source x = {in_re + s * p, in_im + s * p, s * m, 1};
        const fft_turns w = {pass->twiddle_re + p, pass->twiddle_im + p, m, 0, 1};
        const int at = s * radix * p;
        butterflies(radix, s, x, (fft_sink){out_re + at, out_im + at, s, 1}, w);
    }
}

/* One pass of a radix and a layout known at compile time; an interleaved signal is passed as `re`.
 */
FFT_INLINE void run_pass(const fft_pass *pass, fft_layout layout, int radix, const float *in_re,
                         const float *in_im, float *out_re, float *out_im)
{
    const int s = pass->columns, m = pass->rows;
    if (layout == k_first_interleaved || layout == k_first) {
        const int step = layout == k_first_interleaved ? 2 : 1;
        const fft_source x = {in_re, step == 2 ? in_re + 1 : in_im, m * step, step};
        const fft_turns w = {pass->twiddle_re, pass->twiddle_im, m, 1, 1};
        butterflies(radix, m, x, (fft_sink){out_re, out_im, 1, radix}, w);
    } else if (layout == k_middle) {
        /* Rows as long as a vector: the compiler drops their loop when it knows their length. */
        if (s == 4)
            middle_rows(pass, radix, 4, in_re, in_im, out_re, out_im);
        else if (s == 8)
            middle_rows(pass, radix, 8, in_re, in_im, out_re, out_im);
        else
            middle_rows(pass, radix, s, in_re, in_im, out_re, out_im);
    } else {
        const int step = layout == k_last_interleaved ? 2 : 1;
        const fft_source x = {in_re, in_im, s, 1};
        const fft_turns none = {0};
        /* The inverse's planes are exchanged: re is the odd sample. */
        const fft_sink y = {step == 2 ? out_re + 1 : out_re, step == 2 ? out_re : out_im, s * step,
                            step};
        butterflies(radix, s, x, y, none);
    }
}

#define FFT_PASSES(name, layout)                                                                   \
    static void name(const fft_pass *pass, const float *in_re, const float *in_im, float *out_re,  \
                     float *out_im)                                                                \
    {                                                                                              \
        switch (pass->radix) {                                                                     \
        case 2: run_pass(pass, layout, 2, in_re, in_im, out_re, out_im); break;                    \
        case 3: run_pass(pass, layout, 3, in_re, in_im, out_re, out_im); break;                    \
        case 4: run_pass(pass, layout, 4, in_re, in_im, out_re, out_im); break;                    \
        case 5: run_pass(pass, layout, 5, in_re, in_im, out_re, out_im); break;                    \
        case 8: /* never the first: see plan_radices */                                            \
            if (layout >= k_middle) run_pass(pass, layout, 8, in_re, in_im, out_re, out_im);       \
            break;                                                                                 \
        }                                                                                          \
    }

FFT_PASSES(first_interleaved_pass, k_first_interleaved)
FFT_PASSES(first_pass, k_first)
FFT_PASSES(middle_pass, k_middle)
FFT_PASSES(last_pass, k_last)
FFT_PASSES(last_interleaved_pass, k_last_interleaved)

/* The radices of `half` points in the order of their passes, and their number; 0 if it is not
 * smooth. 4 and 2 first: their interleaved stores cost the fewest shuffles, and the rows of the
 * passes after them fill a vector. The last pass has no twiddles, so it gets the 8. (At ten sizes
 * and in both kernel builds this is within 5 % of the best order that an exhaustive search found.)
 */
static int plan_radices(int half, int radices[k_max_passes])
{
    int exponent = 0, count = 0;
    for (; half % 2 == 0; half /= 2) exponent++;
    if (exponent >= 2) radices[count++] = 4;
    if (exponent == 4) radices[count++] = 4;
    if (exponent != 0 && exponent != 2 && exponent != 4) radices[count++] = 2;
    const int left = exponent > 4 ? exponent - 3 : 0; /* of which 8s, and 4s for the remainder */
    const int fours = left % 3 == 2 ? 1 : left % 3 == 1 ? 2 : 0;
    for (int i = 0; i < fours; i++) radices[count++] = 4;
    for (; half % 5 == 0; half /= 5) radices[count++] = 5;
    for (; half % 3 == 0; half /= 3) radices[count++] = 3;
    for (int i = 3; i <= left - 2 * fours; i += 3) radices[count++] = 8;
    return half == 1 ? count : 0;
}

static int is_good_size(int size)
{
    int radices[k_max_passes];
    return size >= k_min_size && size <= k_max_size && size % 2 == 0 &&
           plan_radices(size / 2, radices) > 0;
}

int ae_fft_good_size(int minimum)
{
    int size = minimum < k_min_size ? k_min_size : minimum > k_max_size ? k_max_size + 2 : minimum;
    size += size % 2;
    while (size <= k_max_size && !is_good_size(size)) size += 2;
    return size <= k_max_size ? size : 0;
}

static void unit_root(int step, int period, float *re, float *im) /* exp(-2 pi i step / period) */
{
    const double angle = 2.0 * 3.14159265358979323846 * step / period;
    *re = (float)cos(angle);
    *im = (float)-sin(angle);
}

static ae_fft *lay_out(ae_arena *arena, int half)
{
    ae_fft *self = AE_TAKE(arena, 1, ae_fft);
    float *plane[6];
    const int split = half / 2 + 1;
    for (int i = 0; i < 6; i++) plane[i] = AE_TAKE(arena, i < 4 ? half : split, float);
    if (self != NULL) {
        self->half = half;
        self->size = 2 * half;
        self->work_re[0] = plane[0];
        self->work_im[0] = plane[1];
        self->work_re[1] = plane[2];
        self->work_im[1] = plane[3];
        self->split_re = plane[4];
        self->split_im = plane[5];
        for (int k = 0; k < split; k++)
            unit_root(k, self->size, &self->split_re[k], &self->split_im[k]);
    }
    int radices[k_max_passes];
    const int count = plan_radices(half, radices);
    int columns = 1;
    for (int i = 0; i < count; i++) {
        const int radix = radices[i], points = half / columns, rows = points / radix;
        float *re = AE_TAKE(arena, (radix - 1) * rows, float);
        float *im = AE_TAKE(arena, (radix - 1) * rows, float);
        columns *= radix;
        if (self == NULL) continue;
        self->passes[i] = (fft_pass){radix, rows, columns / radix, re, im};
        for (int leg = 1; leg < radix; leg++)
            for (int p = 0; p < rows; p++)
                unit_root(leg * p, points, &re[(leg - 1) * rows + p], &im[(leg - 1) * rows + p]);
    }
    if (self != NULL) self->pass_count = count;
    return self;
}

ae_status ae_fft_create(ae_fft **out, int size)
{
    *out = NULL;
    if (!is_good_size(size)) return AE_ERROR_ARGUMENT;
    ae_arena arena = {0};
    lay_out(&arena, size / 2);
    arena.base = ae_allocate(arena.used);
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    arena.used = 0;
    *out = lay_out(&arena, size / 2);
    return AE_OK;
}

void ae_fft_destroy(ae_fft *self) { ae_free(self); }

int ae_fft_size(const ae_fft *self) { return self->size; }

/* X[k] = (Z[k] + Z*[N-k]) / 2 - i/2 exp(-2 pi i k / n) (Z[k] - Z*[N-k]), and its mirror X[N-k]. */
static void separate(const ae_fft *self, const float *restrict z_re, const float *restrict z_im,
                     float *restrict re, float *restrict im)
{
    const int n = self->half;
    const float *restrict w_re = self->split_re, *restrict w_im = self->split_im;
    re[0] = z_re[0] + z_im[0];
    re[n] = z_re[0] - z_im[0];
    im[0] = im[n] = 0.0f;
#pragma omp simd
    for (int k = 1; k < (n + 1) / 2; k++) {
        const float even_re = 0.5f * (z_re[k] + z_re[n - k]);
        const float even_im = 0.5f * (z_im[k] - z_im[n - k]);
        const float odd_re = 0.5f * (z_im[k] + z_im[n - k]);
        const float odd_im = 0.5f * (z_re[n - k] - z_re[k]);
        const float turned_re = odd_re * w_re[k] - odd_im * w_im[k];
        const float turned_im = odd_re * w_im[k] + odd_im * w_re[k];
        re[k] = even_re + turned_re;
        im[k] = even_im + turned_im;
        re[n - k] = even_re - turned_re;
        im[n - k] = turned_im - even_im;
    }
    if (n % 2 == 0) {
        re[n / 2] = z_re[n / 2];
        im[n / 2] = -z_im[n / 2];
    }
}

/* Undoes `separate` and scales by 2 / size. */
static void join(const ae_fft *self, const float *restrict re, const float *restrict im,
                 float *restrict z_re, float *restrict z_im)
{
    const int n = self->half;
    const float *restrict w_re = self->split_re, *restrict w_im = self->split_im;
    const float scale = 1.0f / (float)n;
    z_re[0] = 0.5f * scale * (re[0] + re[n]);
    z_im[0] = 0.5f * scale * (re[0] - re[n]);
#pragma omp simd
    for (int k = 1; k < (n + 1) / 2; k++) {
        const float even_re = 0.5f * scale * (re[k] + re[n - k]);
        const float even_im = 0.5f * scale * (im[k] - im[n - k]);
        const float turned_re = 0.5f * scale * (re[k] - re[n - k]);
        const float turned_im = 0.5f * scale * (im[k] + im[n - k]);
        const float odd_re = turned_re * w_re[k] + turned_im * w_im[k];
        const float odd_im = turned_im * w_re[k] - turned_re * w_im[k];
        z_re[k] = even_re - odd_im;
        z_im[k] = even_im + odd_re;
        z_re[n - k] = even_re + odd_im;
        z_im[n - k] = odd_re - even_im;
    }
    if (n % 2 == 0) {
        z_re[n / 2] = scale * re[n / 2];
        z_im[n / 2] = -scale * im[n / 2];
    }
}

void ae_fft_forward(ae_fft *self, const float *time, float *re, float *im)
{
    const fft_pass *passes = self->passes;
    const int last = self->pass_count - 1;
    float **work_re = self->work_re, **work_im = self->work_im;
    first_interleaved_pass(&passes[0], time, NULL, work_re[0], work_im[0]);
    for (int i = 1; i <= last; i++) {
        const int from = (i + 1) % 2, to = i % 2;
        (i == last ? last_pass : middle_pass)(&passes[i], work_re[from], work_im[from], work_re[to],
                                              work_im[to]);
    }
    separate(self, work_re[last % 2], work_im[last % 2], re, im);
}

void ae_fft_inverse(ae_fft *self, const float *re, const float *im, float *time)
{
    const fft_pass *passes = self->passes;
    const int last = self->pass_count - 1;
    /* IDFT(z) = swap(DFT(swap(z))): `join` and the last pass exchange the planes. */
    float **work_re = self->work_re, **work_im = self->work_im;
    join(self, re, im, work_im[1], work_re[1]);
    if (last > 0) first_pass(&passes[0], work_re[1], work_im[1], work_re[0], work_im[0]);
    for (int i = 1; i < last; i++) {
        const int from = (i + 1) % 2, to = i % 2;
        middle_pass(&passes[i], work_re[from], work_im[from], work_re[to], work_im[to]);
    }
    const int from = (last + 1) % 2;
    last_interleaved_pass(&passes[last], work_re[from], work_im[from], time, NULL);
}
