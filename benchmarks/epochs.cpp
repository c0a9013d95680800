// An epoch of each default net by hand, for one core: what the machine gives where no framework stands between.
// Batches of 32, float32, Adam as Keras has it; `benchmarks/by_hand.py` builds it and checks its gradients.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

typedef float V __attribute__((vector_size(64), aligned(4), may_alias));
constexpr int LANES = 16, BATCH = 32, HALVES = BATCH / LANES, SIDE = 28, CLASSES = 10;
using Floats = std::vector<float>;

int padded(int n) { return (n + LANES - 1) / LANES * LANES; }
V load(const float* from) { return *reinterpret_cast<const V*>(from); }
void store(float* to, V what) { *reinterpret_cast<V*>(to) = what; }

float sum(V lanes) {
  float all = 0;
  for (int i = 0; i < LANES; i++) all += lanes[i];
  return all;
}

// --- matrix products: C += A B, where A is read by any two strides ---------------------------------------------

template <int ROWS, int VECTORS>
void tile(int depth, const float* a, int a_row, int a_depth, const float* b, int b_row, float* c, int c_row) {
  V all[ROWS][VECTORS];
  for (int i = 0; i < ROWS; i++)
    for (int v = 0; v < VECTORS; v++) all[i][v] = load(c + i * c_row + v * LANES);
  for (int k = 0; k < depth; k++) {
    V right[VECTORS];
    for (int v = 0; v < VECTORS; v++) right[v] = load(b + k * b_row + v * LANES);
    for (int i = 0; i < ROWS; i++) {
      const float left = a[i * a_row + k * a_depth];
      for (int v = 0; v < VECTORS; v++) all[i][v] += left * right[v];
    }
  }
  for (int i = 0; i < ROWS; i++)
    for (int v = 0; v < VECTORS; v++) store(c + i * c_row + v * LANES, all[i][v]);
}

template <int VECTORS>
void panel(int rows, int depth, const float* a, int a_row, int a_depth, const float* b, int b_row, float* c,
           int c_row) {
  int i = 0;
  for (; i + 8 <= rows; i += 8)
    tile<8, VECTORS>(depth, a + i * a_row, a_row, a_depth, b, b_row, c + i * c_row, c_row);
  for (; i < rows; i++) tile<1, VECTORS>(depth, a + i * a_row, a_row, a_depth, b, b_row, c + i * c_row, c_row);
}

void product(int rows, int columns, int depth, const float* a, int a_row, int a_depth, const float* b, int b_row,
             float* c, int c_row) {
  int j = 0;
  for (; j + 3 * LANES <= columns; j += 3 * LANES)
    panel<3>(rows, depth, a, a_row, a_depth, b + j, b_row, c + j, c_row);
  for (; j < columns; j += LANES) panel<1>(rows, depth, a, a_row, a_depth, b + j, b_row, c + j, c_row);
}

// --- weights -----------------------------------------------------------------------------------------------------

struct Weights {
  int rows, columns, width;  // `columns` are padded to `width` with zeros, which stay zeros
  float l2;
  Floats now, gradient, mean, square;

  Weights(int rows, int columns, float l2)
      : rows(rows), columns(columns), width(padded(columns)), l2(l2), now(rows * width), gradient(rows * width),
        mean(rows * width), square(rows * width) {}

  void take(const float* given) {
    for (int i = 0; i < rows; i++) std::copy_n(given + i * columns, columns, &now[i * width]);
  }
  void give(const Floats& what, float* to) const {
    for (int i = 0; i < rows; i++) std::copy_n(&what[i * width], columns, to + i * columns);
  }
  void clear() { std::fill(gradient.begin(), gradient.end(), 0.f); }

  void step(float rate, int t) {
    const float alpha = rate * std::sqrt(1 - std::pow(0.999f, t)) / (1 - std::pow(0.9f, t));
    float *w = now.data(), *g = gradient.data(), *m = mean.data(), *v = square.data();
    const int n = rows * width;
    for (int i = 0; i < n; i++) {
      g[i] += 2 * l2 * w[i];
      m[i] += (g[i] - m[i]) * 0.1f;
      v[i] += (g[i] * g[i] - v[i]) * 0.001f;
      w[i] -= alpha * m[i] / (std::sqrt(v[i]) + 1e-7f);
    }
  }
};

struct Dense {
  int n_in, in_width;
  Weights kernel, bias;
  Floats out, turned;  // [image][feature]; the kernel's transpose

  Dense(int n_in, int n_out, float l2)
      : n_in(n_in), in_width(padded(n_in)), kernel(n_in, n_out, l2), bias(1, n_out, 0), out(BATCH * kernel.width),
        turned(kernel.width * in_width) {}

  void forward(const float* in, bool relu) {
    const int width = kernel.width;
    for (int n = 0; n < BATCH; n++) std::copy_n(bias.now.data(), width, &out[n * width]);
    product(BATCH, width, n_in, in, in_width, 1, kernel.now.data(), width, out.data(), width);
    if (relu)
      for (float& one : out) one = std::max(one, 0.f);
  }

  // Takes the gradient of what came out, and writes that of what went in to `in_gradient` if one is wanted.
  void backward(const float* in, const float* gradient, float* in_gradient) {
    const int width = kernel.width;
    kernel.clear(), bias.clear();
    product(n_in, width, BATCH, in, 1, in_width, gradient, width, kernel.gradient.data(), width);
    for (int n = 0; n < BATCH; n++)
      for (int j = 0; j < width; j++) bias.gradient[j] += gradient[n * width + j];
    if (!in_gradient) return;
    for (int i = 0; i < n_in; i++)
      for (int j = 0; j < width; j++) turned[j * in_width + i] = kernel.now[i * width + j];
    std::fill_n(in_gradient, BATCH * in_width, 0.f);
    product(BATCH, in_width, width, gradient, width, 1, turned.data(), in_width, in_gradient, in_width);
  }
};

void behind_relu(const Floats& out, Floats& gradient) {
  for (size_t i = 0; i < out.size(); i++) gradient[i] = out[i] > 0 ? gradient[i] : 0.f;
}

// --- convolutions: maps are [row][column][channel][image], so that all lanes are images ---------------------------

template <int K, int IN, int OUT, int OUT_BLOCK>
struct Conv {
  int in_side, side;  // of the map that goes in, padding included, and of the one that comes out
  Weights kernel, bias;
  Floats out, gradient;

  explicit Conv(int in_side)
      : in_side(in_side), side(in_side - K + 1), kernel(K * K * IN, OUT, 0), bias(1, OUT, 0),
        out(side * side * OUT * BATCH), gradient(out.size()) {}

  const float* weight(int kh, int kw, int ci) const { return &kernel.now[((kh * K + kw) * IN + ci) * kernel.width]; }

  void forward(const float* in) {
    for (int h = 0; h < side; h++)
      for (int w = 0; w < side; w++)
        for (int block = 0; block < OUT; block += OUT_BLOCK) {
          V all[OUT_BLOCK][HALVES];
          for (int c = 0; c < OUT_BLOCK; c++)
            for (int half = 0; half < HALVES; half++) all[c][half] = V{} + bias.now[block + c];
          for (int kh = 0; kh < K; kh++)
            for (int kw = 0; kw < K; kw++) {
              const float* from = in + ((h + kh) * in_side + w + kw) * IN * BATCH;
              for (int ci = 0; ci < IN; ci++) {
                const float* weights = weight(kh, kw, ci) + block;
                const V left = load(from + ci * BATCH), right = load(from + ci * BATCH + LANES);
                for (int c = 0; c < OUT_BLOCK; c++) {
                  all[c][0] += weights[c] * left;
                  all[c][1] += weights[c] * right;
                }
              }
            }
          float* to = &out[((h * side + w) * OUT + block) * BATCH];
          for (int c = 0; c < OUT_BLOCK; c++)
            for (int half = 0; half < HALVES; half++)
              store(to + c * BATCH + half * LANES, all[c][half] > 0 ? all[c][half] : V{});
        }
  }

  // Takes `gradient`, that of what came out.
  void backward_weights(const float* in) {
    constexpr int BLOCK = IN == 1 ? OUT : 4;
    kernel.clear(), bias.clear();
    for (int kh = 0; kh < K; kh++)
      for (int kw = 0; kw < K; kw++)
        for (int block = 0; block < OUT; block += BLOCK) {
          V all[IN][BLOCK] = {};
          for (int h = 0; h < side; h++)
            for (int w = 0; w < side; w++) {
              const float* from = in + ((h + kh) * in_side + w + kw) * IN * BATCH;
              const float* of = &gradient[((h * side + w) * OUT + block) * BATCH];
              for (int half = 0; half < BATCH; half += LANES) {
                V x[IN];
                for (int ci = 0; ci < IN; ci++) x[ci] = load(from + ci * BATCH + half);
                for (int c = 0; c < BLOCK; c++) {
                  const V y = load(of + c * BATCH + half);
                  for (int ci = 0; ci < IN; ci++) all[ci][c] += x[ci] * y;
                }
              }
            }
          for (int ci = 0; ci < IN; ci++)
            for (int c = 0; c < BLOCK; c++)
              kernel.gradient[((kh * K + kw) * IN + ci) * kernel.width + block + c] = sum(all[ci][c]);
        }
    for (int c = 0; c < OUT; c++) {
      V all{};
      for (int p = 0; p < side * side; p++)
        for (int half = 0; half < BATCH; half += LANES) all += load(&gradient[(p * OUT + c) * BATCH + half]);
      bias.gradient[c] = sum(all);
    }
  }

  void backward_in(float* in_gradient) const {
    for (int h = 0; h < in_side; h++)
      for (int w = 0; w < in_side; w++) {
        V all[IN][HALVES] = {};
        for (int kh = std::max(0, h - side + 1); kh <= std::min(K - 1, h); kh++)
          for (int kw = std::max(0, w - side + 1); kw <= std::min(K - 1, w); kw++) {
            const float* of = &gradient[((h - kh) * side + w - kw) * OUT * BATCH];
            for (int c = 0; c < OUT; c++) {
              const V left = load(of + c * BATCH), right = load(of + c * BATCH + LANES);
              for (int ci = 0; ci < IN; ci++) {
                const float weight_here = weight(kh, kw, ci)[c];
                all[ci][0] += weight_here * left;
                all[ci][1] += weight_here * right;
              }
            }
          }
        for (int ci = 0; ci < IN; ci++)
          for (int half = 0; half < HALVES; half++)
            store(in_gradient + ((h * in_side + w) * IN + ci) * BATCH + half * LANES, all[ci][half]);
      }
  }
};

// The mean of each 2 x 2 of a map.
void pool(const Floats& map, int side, int channels, Floats& pooled) {
  const int row = channels * BATCH, half = side / 2;
  for (int h = 0; h < half; h++)
    for (int w = 0; w < half; w++) {
      const float* from = &map[(2 * h * side + 2 * w) * row];
      float* to = &pooled[(h * half + w) * row];
      for (int i = 0; i < row; i++)
        to[i] = 0.25f * (from[i] + from[row + i] + from[side * row + i] + from[side * row + row + i]);
    }
}

// The gradient of a map with relu from that of its pooled one.
void unpool(const Floats& pooled, const Floats& map, int side, int channels, Floats& gradient) {
  const int row = channels * BATCH, half = side / 2;
  for (int h = 0; h < side; h++)
    for (int w = 0; w < side; w++) {
      const float* from = &pooled[(h / 2 * half + w / 2) * row];
      const float* out = &map[(h * side + w) * row];
      float* to = &gradient[(h * side + w) * row];
      for (int i = 0; i < row; i++) to[i] = out[i] > 0 ? 0.25f * from[i] : 0.f;
    }
}

// --- nets --------------------------------------------------------------------------------------------------------

// Turns logits, in rows of `width`, into the gradient of the mean cross-entropy of their softmax.
void softmax_gradient(Floats& logits, int width, const int32_t* labels) {
  for (int n = 0; n < BATCH; n++) {
    float* row = &logits[n * width];
    const float top = *std::max_element(row, row + CLASSES);
    float all = 0;
    for (int j = 0; j < CLASSES; j++) all += row[j] = std::exp(row[j] - top);
    for (int j = 0; j < CLASSES; j++) row[j] = (row[j] / all - (labels[n] == j)) / BATCH;
  }
}

// Two dense layers with relu and one of classes, which both nets end in.
struct Head {
  Dense first, second, last;
  Floats one, two;

  Head(int n_in, int n_first, int n_second, float l2_of_first, float l2)
      : first(n_in, n_first, l2_of_first), second(n_first, n_second, l2), last(n_second, CLASSES, l2),
        one(first.out.size()), two(second.out.size()) {}

  void add_weights(std::vector<Weights*>& all) {
    for (Dense* layer : {&first, &second, &last}) all.insert(all.end(), {&layer->kernel, &layer->bias});
  }

  // Forward and back; `in_gradient` as in `Dense`.
  void step(const float* in, const int32_t* labels, float* in_gradient) {
    first.forward(in, true);
    second.forward(first.out.data(), true);
    last.forward(second.out.data(), false);
    softmax_gradient(last.out, last.kernel.width, labels);
    last.backward(second.out.data(), last.out.data(), two.data());
    behind_relu(second.out, two);
    second.backward(first.out.data(), two.data(), one.data());
    behind_relu(first.out, one);
    first.backward(in, one.data(), in_gradient);
  }
};

struct DenseNet {
  Head head;
  Floats in;

  DenseNet(float l2) : head(SIDE * SIDE, 300, 200, l2, l2), in(BATCH * SIDE * SIDE) {}

  std::vector<Weights*> weights() {
    std::vector<Weights*> all;
    head.add_weights(all);
    return all;
  }

  void step(const float* images, const int32_t* labels, const int32_t* order) {
    for (int n = 0; n < BATCH; n++) std::copy_n(images + order[n] * SIDE * SIDE, SIDE * SIDE, &in[n * SIDE * SIDE]);
    head.step(in.data(), labels, nullptr);
  }
};

struct ConvNet {
  static constexpr int PADDED = SIDE + 4, FIRST = 6, SECOND = 16, FLAT = 5 * 5 * SECOND;
  Conv<5, 1, FIRST, FIRST> first{PADDED};
  Conv<5, FIRST, SECOND, 8> second{SIDE / 2};
  Head head;
  Floats in, pooled, pooled_gradient, small, small_gradient, flat, flat_gradient;

  ConvNet(float l2)
      : head(FLAT, 120, 84, 0, l2), in(PADDED * PADDED * BATCH), pooled(SIDE / 2 * SIDE / 2 * FIRST * BATCH),
        pooled_gradient(pooled.size()), small(FLAT * BATCH), small_gradient(small.size()), flat(small.size()),
        flat_gradient(small.size()) {}

  std::vector<Weights*> weights() {
    std::vector<Weights*> all{&first.kernel, &first.bias, &second.kernel, &second.bias};
    head.add_weights(all);
    return all;
  }

  void step(const float* images, const int32_t* labels, const int32_t* order) {
    for (int n = 0; n < BATCH; n++)
      for (int h = 0; h < SIDE; h++)
        for (int w = 0; w < SIDE; w++)
          in[((h + 2) * PADDED + w + 2) * BATCH + n] = images[(order[n] * SIDE + h) * SIDE + w];
    first.forward(in.data());
    pool(first.out, first.side, FIRST, pooled);
    second.forward(pooled.data());
    pool(second.out, second.side, SECOND, small);
    for (int n = 0; n < BATCH; n++)
      for (int i = 0; i < FLAT; i++) flat[n * FLAT + i] = small[i * BATCH + n];
    head.step(flat.data(), labels, flat_gradient.data());
    for (int i = 0; i < FLAT; i++)
      for (int n = 0; n < BATCH; n++) small_gradient[i * BATCH + n] = flat_gradient[n * FLAT + i];
    unpool(small_gradient, second.out, second.side, SECOND, second.gradient);
    second.backward_weights(pooled.data());
    second.backward_in(pooled_gradient.data());
    unpool(pooled_gradient, first.out, first.side, FIRST, first.gradient);
    first.backward_weights(in.data());
  }
};

template <class Net>
void train(const float* images, const int32_t* labels, const int32_t* order, int steps, float rate, float l2,
           float** weights, float** gradients) {
  Net net(l2);
  const auto all = net.weights();
  for (size_t i = 0; i < all.size(); i++) all[i]->take(weights[i]);
  for (int t = 0; t < steps; t++, order += BATCH) {
    int32_t of_batch[BATCH];
    for (int n = 0; n < BATCH; n++) of_batch[n] = labels[order[n]];
    net.step(images, of_batch, order);
    for (Weights* one : all) one->step(rate, t + 1);
  }
  for (size_t i = 0; i < all.size(); i++) {
    all[i]->give(all[i]->now, weights[i]);
    all[i]->give(all[i]->gradient, gradients[i]);
  }
}

}  // namespace

// Images are rows of 784 floats; `order` has 32 of their numbers for each step. Weights are Keras's, one array for each
// of its variables, and are trained where they are; gradients are those of the last step.
extern "C" void dense(const float* images, const int32_t* labels, const int32_t* order, int steps, float rate, float l2,
                      float** weights, float** gradients) {
  train<DenseNet>(images, labels, order, steps, rate, l2, weights, gradients);
}
extern "C" void cnn(const float* images, const int32_t* labels, const int32_t* order, int steps, float rate, float l2,
                    float** weights, float** gradients) {
  train<ConvNet>(images, labels, order, steps, rate, l2, weights, gradients);
}
