// A script object of our own: a pair of numbers, and an operator that takes one.
#include <ATen/ATen.h>
#include <torch/custom_class.h>
#include <torch/library.h>

struct Pair : torch::CustomClassHolder {
  int64_t x, y;
  Pair(int64_t x, int64_t y) : x(x), y(y) {}
  int64_t sum() const { return x + y; }
  at::Tensor apply(at::Tensor t) const { return t * x + y; }
  using Field = std::tuple<std::string, int64_t>;
  std::tuple<Field, Field> flat() const { return {{"x", x}, {"y", y}}; }
};

at::Tensor scaled(const c10::intrusive_ptr<Pair>& pair, const at::Tensor& x) { return pair->apply(x); }

TORCH_LIBRARY(exportcheck_test, m) {
  using State = std::tuple<int64_t, int64_t>;
  m.class_<Pair>("Pair")
      .def(torch::init<int64_t, int64_t>())
      .def("sum", [](const c10::intrusive_ptr<Pair>& pair) { return pair->sum(); })
      .def("apply", [](const c10::intrusive_ptr<Pair>& pair, at::Tensor t) { return pair->apply(t); })
      .def("__obj_flatten__", [](const c10::intrusive_ptr<Pair>& pair) { return pair->flat(); })
      .def_pickle([](const c10::intrusive_ptr<Pair>& pair) { return State(pair->x, pair->y); },
                  [](State s) { return c10::make_intrusive<Pair>(std::get<0>(s), std::get<1>(s)); });
  m.def("scaled(__torch__.torch.classes.exportcheck_test.Pair pair, Tensor x) -> Tensor");
}
TORCH_LIBRARY_IMPL(exportcheck_test, CPU, m) { m.impl("scaled", scaled); }
