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

/* Where one row of butterflies reads and writes: legs are `leg` apart, columns `stride`. */
typedef struct {
    const float *re, *im;
    int leg, stride;
} fft_source;

typedef struct {
    float *re, *im;
    int leg, stride;
} fft_sink;

#define FFT_INLINE static inline __attribute__((always_inline))

/* Store a value times its twiddle factor; `w` is the leg's index + 1, `t` the column's twiddle. */
#define FFT_STORE_TURNED(leg_index, value_re, value_im)                                            \
    do {                                                                                           \
        const float wr_ = w.re[((leg_index) - 1) * w.leg + i * w.stride];                          \
        const float wi_ = w.im[((leg_index) - 1) * w.leg + i * w.stride];                          \
        y.re[(leg_index) * y.leg + i * y.stride] = (value_re) * wr_ - (value_im) * wi_;            \
        y.im[(leg_index) * y.leg + i * y.stride] = (value_re) * wi_ + (value_im) * wr_;            \
    } while (0)

#define FFT_LOAD(leg_index)                                                                        \
    const float re##leg_index = x.re[leg_index * x.leg + i * x.stride];                            \
    const float im##leg_index = x.im[leg_index * x.leg + i * x.stride]

#define FFT_STORE(value_re, value_im)                                                              \
    y.re[i * y.stride] = (value_re);                                                               \
    y.im[i * y.stride] = (value_im)

FFT_INLINE void radix2(int count, fft_source x, fft_sink y, fft_source w)
{
#pragma omp simd
    for (int i = 0; i < count; i++) {
        FFT_LOAD(0);
        FFT_LOAD(1);
        FFT_STORE(re0 + re1, im0 + im1);
        FFT_STORE_TURNED(1, (re0 - re1), (im0 - im1));
    }
}

FFT_INLINE void radix3(int count, fft_source x, fft_sink y, fft_source w)
{
    const float sine = 0.866025403784438647f; /* sin(2 pi / 3) */
#pragma omp simd
    for (int i = 0; i < count; i++) {
        FFT_LOAD(0);
        FFT_LOAD(1);
        FFT_LOAD(2);
        const float sum_re = re1 + re2, sum_im = im1 + im2;
        const float mid_re = re0 - 0.5f * sum_re, mid_im = im0 - 0.5f * sum_im;
        const float dif_re = sine * (im1 - im2), dif_im = sine * (re2 - re1);
        FFT_STORE(re0 + sum_re, im0 + sum_im);
        FFT_STORE_TURNED(1, (mid_re + dif_re), (mid_im + dif_im));
        FFT_STORE_TURNED(2, (mid_re - dif_re), (mid_im - dif_im));
    }
}

FFT_INLINE void radix4(int count, fft_source x, fft_sink y, fft_source w)
{
#pragma omp simd
    for (int i = 0; i < count; i++) {
        FFT_LOAD(0);
        FFT_LOAD(1);
        FFT_LOAD(2);
        FFT_LOAD(3);
        const float even_re = re0 + re2, even_im = im0 + im2;
        const float odd_re = re1 + re3, odd_im = im1 + im3;
        const float even_dif_re = re0 - re2, even_dif_im = im0 - im2;
        const float odd_dif_re = im1 - im3, odd_dif_im = re3 - re1; /* times -i */
        FFT_STORE(even_re + odd_re, even_im + odd_im);
        FFT_STORE_TURNED(1, (even_dif_re + odd_dif_re), (even_dif_im + odd_dif_im));
        FFT_STORE_TURNED(2, (even_re - odd_re), (even_im - odd_im));
        FFT_STORE_TURNED(3, (even_dif_re - odd_dif_re), (even_dif_im - odd_dif_im));
    }
}

FFT_INLINE void radix5(int count, fft_source x, fft_sink y, fft_source w)
{
    const float cos1 = 0.309016994374947424f, cos2 = -0.809016994374947424f; /* cos(2 pi k / 5) */
    const float sin1 = 0.951056516295153572f, sin2 = 0.587785252292473129f;
#pragma omp simd
    for (int i = 0; i < count; i++) {
        FFT_LOAD(0);
        FFT_LOAD(1);
        FFT_LOAD(2);
        FFT_LOAD(3);
        FFT_LOAD(4);
        const float s14_re = re1 + re4, s14_im = im1 + im4, d14_re = re1 - re4, d14_im = im1 - im4;
        const float s23_re = re2 + re3, s23_im = im2 + im3, d23_re = re2 - re3, d23_im = im2 - im3;
        const float a_re = re0 + cos1 * s14_re + cos2 * s23_re;
        const float a_im = im0 + cos1 * s14_im + cos2 * s23_im;
        const float b_re = re0 + cos2 * s14_re + cos1 * s23_re;
        const float b_im = im0 + cos2 * s14_im + cos1 * s23_im;
        const float c_re = sin1 * d14_im + sin2 * d23_im, c_im = sin1 * d14_re + sin2 * d23_re;
        const float d_re = sin2 * d14_im - sin1 * d23_im, d_im = sin2 * d14_re - sin1 * d23_re;
        FFT_STORE(re0 + s14_re + s23_re, im0 + s14_im + s23_im);
        FFT_STORE_TURNED(1, (a_re + c_re), (a_im - c_im));
        FFT_STORE_TURNED(2, (b_re + d_re), (b_im - d_im));
        FFT_STORE_TURNED(3, (b_re - d_re), (b_im + d_im));
        FFT_STORE_TURNED(4, (a_re - c_re), (a_im + c_im));
    }
}

FFT_INLINE void butterflies(int radix, int count, fft_source x, fft_sink y, fft_source w)
{
    switch (radix) {
    case 2: radix2(count, x, y, w); break;
    case 3: radix3(count, x, y, w); break;
    case 4: radix4(count, x, y, w); break;
    default: radix5(count, x, y, w); break;
    }
}

/* One pass; `in_stride` and `out_stride` are 2 where the plane is one half of interleaved samples.
 */
static void run_pass(const fft_pass *pass, const float *in_re, const float *in_im, int in_stride,
                     float *out_re, float *out_im, int out_stride)
{
    const int s = pass->columns, m = pass->rows, radix = pass->radix;
    if (s == 1) {
        const fft_source x = {in_re, in_im, m * in_stride, in_stride};
        const fft_sink y = {out_re, out_im, out_stride, radix * out_stride};
        const fft_source w = {pass->twiddle_re, pass->twiddle_im, m, 1};
        butterflies(radix, m, x, y, w);
        return;
    }
    for (int p = 0; p < m; p++) {
        const fft_source x = {in_re + s * p, in_im + s * p, s * m, 1};
        fft_sink y = {out_re + s * radix * p * out_stride, out_im + s * radix * p * out_stride,
                      s * out_stride, out_stride};
        const fft_source w = {pass->twiddle_re + p, pass->twiddle_im + p, m, 0};
        butterflies(radix, s, x, y, w);
    }
}

static int next_radix(int remaining)
{
    static const int preferred[] = {4, 5, 3, 2};
    for (int i = 0; i < 4; i++)
        if (remaining % preferred[i] == 0) return preferred[i];
    return 0;
}

static int is_smooth(int value)
{
    while (value > 1) {
        const int radix = next_radix(value);
        if (radix == 0) return 0;
        value /= radix;
    }
    return value == 1;
}

static int is_good_size(int size)
{
    return size >= k_min_size && size <= k_max_size && size % 2 == 0 && is_smooth(size);
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
    int remaining = half, columns = 1, count = 0;
    while (remaining > 1) {
        const int radix = next_radix(remaining), rows = remaining / radix;
        float *re = AE_TAKE(arena, (radix - 1) * rows, float);
        float *im = AE_TAKE(arena, (radix - 1) * rows, float);
        if (self != NULL) {
            self->passes[count] = (fft_pass){radix, rows, columns, re, im};
            for (int leg = 1; leg < radix; leg++)
                for (int p = 0; p < rows; p++)
                    unit_root(leg * p, remaining, &re[(leg - 1) * rows + p],
                              &im[(leg - 1) * rows + p]);
        }
        count++;
        columns *= radix;
        remaining = rows;
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
    const float *in_re = time, *in_im = time + 1;
    for (int i = 0; i < self->pass_count; i++) {
        float *out_re = self->work_re[i % 2], *out_im = self->work_im[i % 2];
        run_pass(&self->passes[i], in_re, in_im, i == 0 ? 2 : 1, out_re, out_im, 1);
        in_re = out_re;
        in_im = out_im;
    }
    separate(self, in_re, in_im, re, im);
}

void ae_fft_inverse(ae_fft *self, const float *re, const float *im, float *time)
{
    join(self, re, im, self->work_re[1], self->work_im[1]);
    /* IDFT(z) = swap(DFT(swap(z))): the planes are exchanged at both ends. */
    const float *in_re = self->work_im[1], *in_im = self->work_re[1];
    for (int i = 0; i < self->pass_count; i++) {
        const int last = i == self->pass_count - 1;
        float *out_re = last ? time + 1 : self->work_re[i % 2];
        float *out_im = last ? time : self->work_im[i % 2];
        run_pass(&self->passes[i], in_re, in_im, 1, out_re, out_im, last ? 2 : 1);
        in_re = out_re;
        in_im = out_im;
    }
}
