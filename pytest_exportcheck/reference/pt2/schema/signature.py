"""The signature of a program: the role that each input and output of the graph has in the module that was captured."""

from __future__ import annotations

from pytest_exportcheck.reference.pt2.schema.arguments import (
    ConstantValue,
    CustomObjArgument,
    TensorArgument,
    TokenArgument,
)
from pytest_exportcheck.reference.pt2.schema.base import Record, Tagged
from pytest_exportcheck.reference.pt2.schema.graph import Argument


class UserInputSpec(Record, frozen=True):
    arg: Argument


class InputToConstantInputSpec(Record, frozen=True):
    name: str
    value: ConstantValue


class InputToParameterSpec(Record, frozen=True):
    arg: TensorArgument
    parameter_name: str


class InputToBufferSpec(Record, frozen=True):
    arg: TensorArgument
    buffer_name: str
    persistent: bool


class InputToTensorConstantSpec(Record, frozen=True):
    arg: TensorArgument
    tensor_constant_name: str


class InputToCustomObjSpec(Record, frozen=True):
    arg: CustomObjArgument
    custom_obj_name: str


class InputTokenSpec(Record, frozen=True):
    arg: TokenArgument


class InputSpec(Tagged):
    __slots__ = ()
    user_input: UserInputSpec
    parameter: InputToParameterSpec
    buffer: InputToBufferSpec
    tensor_constant: InputToTensorConstantSpec
    custom_obj: InputToCustomObjSpec
    token: InputTokenSpec
    constant_input: InputToConstantInputSpec


class UserOutputSpec(Record, frozen=True):
    arg: Argument


class LossOutputSpec(Record, frozen=True):
    arg: TensorArgument


class BufferMutationSpec(Record, frozen=True):
    arg: TensorArgument
    buffer_name: str


class ParameterMutationSpec(Record, frozen=True):
    arg: TensorArgument
    parameter_name: str


class GradientToParameterSpec(Record, frozen=True):
    arg: TensorArgument
    parameter_name: str


class GradientToUserInputSpec(Record, frozen=True):
    arg: TensorArgument
    user_input_name: str


class UserInputMutationSpec(Record, frozen=True):
    arg: TensorArgument
    user_input_name: str


class OutputTokenSpec(Record, frozen=True):
    arg: TokenArgument


class OutputSpec(Tagged):
    __slots__ = ()
    user_output: UserOutputSpec
    loss_output: LossOutputSpec
    buffer_mutation: BufferMutationSpec
    gradient_to_parameter: GradientToParameterSpec
    gradient_to_user_input: GradientToUserInputSpec
    user_input_mutation: UserInputMutationSpec
    token: OutputTokenSpec
    parameter_mutation: ParameterMutationSpec


class GraphSignature(Record, frozen=True):
    input_specs: list[InputSpec]
    output_specs: list[OutputSpec]


__all__ = [
    "BufferMutationSpec",
    "GradientToParameterSpec",
    "GradientToUserInputSpec",
    "GraphSignature",
    "InputSpec",
    "InputToBufferSpec",
    "InputToConstantInputSpec",
    "InputToCustomObjSpec",
    "InputToParameterSpec",
    "InputToTensorConstantSpec",
    "InputTokenSpec",
    "LossOutputSpec",
    "OutputSpec",
    "OutputTokenSpec",
    "ParameterMutationSpec",
    "UserInputMutationSpec",
    "UserInputSpec",
    "UserOutputSpec",
]
