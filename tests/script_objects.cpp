// Script objects for tests: one that holds numbers, one that holds tensors and changes, one that cannot be copied, and
// operators that take them.
#include <ATen/core/Tensor.h>
#include <ATen/ops/add.h>
#include <ATen/ops/mul.h>
#include <torch/custom_class.h>
#include <torch/library.h>

using at::Tensor;
using Name = std::string;

struct Pair : torch::CustomClassHolder {
  int64_t x, y;
  Pair(int64_t x, int64_t y) : x(x), y(y) {}
  int64_t sum() { return x + y; }
  Tensor apply(Tensor t) { return at::add(at::mul(t, x), y); }
  using Field = std::tuple<Name, int64_t>;
  std::tuple<Field, Field> flat() { return {{"x", x}, {"y", y}}; }
};

struct Queue : torch::CustomClassHolder {
  std::vector<Tensor> items;
  Queue(std::vector<Tensor> items) : items(std::move(items)) {}
  void push(Tensor t) { items.push_back(std::move(t)); }
  Tensor pop() {
    TORCH_CHECK(!items.empty(), "pop from an empty queue");
    Tensor first = items.front();
    items.erase(items.begin());
    return first;
  }
  int64_t size() { return static_cast<int64_t>(items.size()); }
  std::tuple<std::tuple<Name, std::vector<Tensor>>> flat() { return {{"items", items}}; }
};

struct Bare : torch::CustomClassHolder {
  Tensor apply(Tensor t) { return at::mul(t, 2); }
};

template <class T> using Held = c10::intrusive_ptr<T>;

TORCH_LIBRARY(exportcheck_test, m) {
  using State = std::tuple<int64_t, int64_t>;
  m.class_<Pair>("Pair")
      .def(torch::init<int64_t, int64_t>())
      .def("sum", &Pair::sum)
      .def("apply", &Pair::apply)
      .def("__obj_flatten__", &Pair::flat)
      .def_pickle([](const Held<Pair>& pair) { return State(pair->x, pair->y); },
                  [](State s) { return c10::make_intrusive<Pair>(std::get<0>(s), std::get<1>(s)); });
  m.class_<Queue>("Queue")
      .def(torch::init<std::vector<Tensor>>())
      .def("push", &Queue::push)
      .def("pop", &Queue::pop)
      .def("size", &Queue::size)
      .def("__obj_flatten__", &Queue::flat)
      .def_pickle([](const Held<Queue>& queue) { return queue->items; },
                  [](std::vector<Tensor> items) { return c10::make_intrusive<Queue>(std::move(items)); });
  m.class_<Bare>("Bare").def(torch::init<>()).def("apply", &Bare::apply);
  m.def("scaled(__torch__.torch.classes.exportcheck_test.Pair pair, Tensor x) -> Tensor");
  m.def("push(__torch__.torch.classes.exportcheck_test.Queue queue, Tensor x) -> ()");
  m.def("pop(__torch__.torch.classes.exportcheck_test.Queue queue) -> Tensor");
}
Tensor scaled(const Held<Pair>& pair, const Tensor& x) { return pair->apply(x); }
void push(const Held<Queue>& queue, const Tensor& x) { queue->push(x); }
Tensor pop(const Held<Queue>& queue) { return queue->pop(); }
TORCH_LIBRARY_IMPL(exportcheck_test, CompositeExplicitAutograd, m) {
  m.impl("scaled", scaled);
  m.impl("push", push);
  m.impl("pop", pop);
}
