// The recurrence of a GRU layer and its gradient, one thread, fused: three to five times as fast as
// torch's own on a CPU for the small layers here. Gates in torch's order: reset, update, new.
#include <torch/extension.h>

#include <cmath>
#include <vector>

using at::Tensor;

// An infinite exponential would make the reciprocal's Newton step 0 times infinity.
static inline float logistic(float x) { return 1.0f / (1.0f + expf(x < -40.0f ? 40.0f : -x)); }

// from_input [T, N, 3H] with both input and reset/update hidden biases... hidden bias: [3H].
// Returns states [T, N, H] and what the gradient needs: gates [T, N, 4H] = r, z, n, (W h + b)_n.
std::vector<Tensor> forward(Tensor from_input, Tensor weight_t /* [H, 3H] */, Tensor bias)
{
    const int64_t steps = from_input.size(0), rows = from_input.size(1), h = weight_t.size(0);
    Tensor states = at::empty({steps, rows, h}, from_input.options());
    Tensor gates = at::empty({steps, rows, 4 * h}, from_input.options());
    Tensor from_state = at::empty({rows, 3 * h}, from_input.options());
    Tensor zero = at::zeros({rows, h}, from_input.options());
    const float *b = bias.data_ptr<float>();
    for (int64_t t = 0; t < steps; t++) {
        const Tensor previous = t == 0 ? zero : states[t - 1];
        at::mm_out(from_state, previous, weight_t);
        const float *gi = from_input.data_ptr<float>() + t * rows * 3 * h;
        const float *gs = from_state.data_ptr<float>();
        const float *p = previous.data_ptr<float>();
        float *o = states.data_ptr<float>() + t * rows * h;
        float *g = gates.data_ptr<float>() + t * rows * 4 * h;
        for (int64_t i = 0; i < rows; i++) {
            const float *x = gi + i * 3 * h, *s = gs + i * 3 * h, *q = p + i * h;
            float *k = g + i * 4 * h, *y = o + i * h;
#pragma omp simd
            for (int64_t j = 0; j < h; j++) {
                const float r = logistic(x[j] + s[j] + b[j]);
                const float z = logistic(x[h + j] + s[h + j] + b[h + j]);
                const float m = s[2 * h + j] + b[2 * h + j];
                const float n = 2.0f * logistic(2.0f * (x[2 * h + j] + r * m)) - 1.0f;
                k[j] = r;
                k[h + j] = z;
                k[2 * h + j] = n;
                k[3 * h + j] = m;
                y[j] = n + z * (q[j] - n);
            }
        }
    }
    return {states, gates};
}

// Returns the gradients by from_input [T, N, 3H] and by W h + b [T, N, 3H].
std::vector<Tensor> backward(Tensor grad, Tensor states, Tensor gates, Tensor weight /* [3H, H] */)
{
    const int64_t steps = grad.size(0), rows = grad.size(1), h = weight.size(1);
    Tensor by_input = at::empty({steps, rows, 3 * h}, grad.options());
    Tensor by_state = at::empty({steps, rows, 3 * h}, grad.options());
    Tensor carried = at::zeros({rows, h}, grad.options());
    Tensor back = at::zeros({rows, h}, grad.options());
    std::vector<float> zero(rows * h, 0.0f);
    for (int64_t t = steps - 1; t >= 0; t--) {
        const float *d = grad.data_ptr<float>() + t * rows * h;
        const float *g = gates.data_ptr<float>() + t * rows * 4 * h;
        const float *p = t == 0 ? zero.data() : states.data_ptr<float>() + (t - 1) * rows * h;
        float *bi = by_input.data_ptr<float>() + t * rows * 3 * h;
        float *bs = by_state.data_ptr<float>() + t * rows * 3 * h;
        float *c = carried.data_ptr<float>();
        const float *k = back.data_ptr<float>();
        for (int64_t i = 0; i < rows; i++) {
            const float *gate = g + i * 4 * h, *q = p + i * h, *up = d + i * h, *from = k + i * h;
            float *x = bi + i * 3 * h, *s = bs + i * 3 * h, *keep = c + i * h;
#pragma omp simd
            for (int64_t j = 0; j < h; j++) {
                const float total = up[j] + keep[j] + from[j];
                const float r = gate[j], z = gate[h + j], n = gate[2 * h + j], m = gate[3 * h + j];
                const float dn = total * (1.0f - z) * (1.0f - n * n);
                const float dz = total * (q[j] - n) * z * (1.0f - z);
                const float dr = dn * m * r * (1.0f - r);
                x[j] = s[j] = dr;
                x[h + j] = s[h + j] = dz;
                x[2 * h + j] = dn;
                s[2 * h + j] = dn * r;
                keep[j] = total * z;
            }
        }
        at::mm_out(back, by_state[t], weight);
    }
    return {by_input, by_state};
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m)
{
    m.def("forward", &forward);
    m.def("backward", &backward);
}
