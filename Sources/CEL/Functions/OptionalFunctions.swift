/// The optionals extension, without its syntax and macros.
enum OptionalFunctions {
    static let all: [StandardFunction] = [of, ofNonZeroValue, none, hasValue, value, first, last] + unwrap

    static let of = StandardFunction(
        "optional.of", .global, [.of(.dyn, to: .optional(.dyn))],
        .unary { (value, _, _) throws(Fault) in .optional(OptionalValue(value)) })

    static let ofNonZeroValue = StandardFunction(
        "optional.ofNonZeroValue", .global, [.of(.dyn, to: .optional(.dyn))],
        .unary { (value, _, _) throws(Fault) in .optional(value.isZero ? .none : OptionalValue(value)) })

    static let none = StandardFunction(
        "optional.none", .global, [.of(to: .optional(.dyn))], .any { (_, _, _) throws(Fault) in .optional(.none) })

    static let hasValue = StandardFunction(
        "hasValue", .member, [.of(.optional(.dyn), to: .bool)],
        .unary { (value, _, span) throws(Fault) in
            guard case .optional(let optional) = value else { throw Fault(noOverload: "hasValue", [value.kind], span) }
            return .bool(optional.wrapped != nil)
        })

    static let value = StandardFunction(
        "value", .member, [.of(.optional(.dyn), to: .dyn)],
        .unary { (value, _, span) throws(Fault) in
            guard case .optional(let optional) = value else { throw Fault(noOverload: "value", [value.kind], span) }
            guard let wrapped = optional.wrapped else { throw Fault(.badArgument, span, "the optional holds no value") }
            return wrapped
        })

    private static func end(_ name: String, _ pick: @escaping @Sendable ([Value]) -> Value?) -> StandardFunction {
        StandardFunction(
            name, .member, [.of(.list(.dyn), to: .optional(.dyn))],
            .unary { (list, _, span) throws(Fault) in
                guard case .list(let elements) = list else { throw Fault(noOverload: name, [list.kind], span) }
                return .optional(pick(elements).map { OptionalValue($0) } ?? .none)
            })
    }

    static let first = end("first") { $0.first }
    static let last = end("last") { $0.last }

    private static func unwrapper(_ name: String, _ style: StandardFunction.Style) -> StandardFunction {
        StandardFunction(
            name, style, [.of(.list(.optional(.dyn)), to: .list(.dyn))],
            .unary { (list, frame, span) throws(Fault) in
                guard case .list(let elements) = list else { throw Fault(noOverload: name, [list.kind], span) }
                try frame.allocate(listBytes(elements.count), span)
                var result: [Value] = []
                for element in elements {
                    guard case .optional(let optional) = element else { throw Fault(noOverload: name, [element.kind], span) }
                    if let wrapped = optional.wrapped { result.append(wrapped) }
                }
                return .list(result)
            })
    }

    static let unwrap = [unwrapper("optional.unwrap", .global), unwrapper("unwrapOpt", .member)]
}

extension Value {
    /// null, false, zero, and everything empty.
    fileprivate var isZero: Bool {
        switch self {
        case .null: true
        case .bool(let flag): !flag
        case .int(let number): number == 0
        case .uint(let number): number == 0
        case .double(let number): number == 0
        case .string(let text): text.isEmpty
        case .bytes(let octets): octets.isEmpty
        case .list(let elements): elements.isEmpty
        case .map(let map): map.count == 0
        case .duration(let length): length == 0
        case .timestamp(let instant): instant.seconds == 0 && instant.nanoseconds == 0
        case .optional(let optional): optional.wrapped == nil
        case .type, .opaque: false
        }
    }
}

/// `o.or(optional)` and `o.orValue(value)`: the argument is evaluated only when the receiver holds nothing.
final class OptionalOrOperation: Operation, @unchecked Sendable {
    let optional: Operation, alternative: Operation
    let unwraps: Bool

    init(_ optional: Operation, _ alternative: Operation, unwraps: Bool, span: Span) {
        self.optional = optional
        self.alternative = alternative
        self.unwraps = unwraps
        super.init(span: span)
    }

    override var operands: [Operation] { [optional, alternative] }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        let value = try optional.value(&frame)
        guard case .optional(let optional) = value else { throw Fault(noOverload: unwraps ? "orValue" : "or", [value.kind], span) }
        if let wrapped = optional.wrapped { return unwraps ? wrapped : value }
        let other = try alternative.value(&frame)
        if unwraps { return other }
        guard case .optional = other else { throw Fault(noOverload: "or", [value.kind, other.kind], span) }
        return other
    }
}

extension Compiler {
    /// `o.or(x)` and `o.orValue(x)`; nil when the receiver is known to be no optional.
    mutating func compileOptionalOr(_ call: Expression.Call, _ receiver: Expression.Node, _ node: Expression.Node) -> Compiled {
        let optional = compile(receiver)
        let alternative = compile(call.arguments[0])
        let unwraps = call.name == "orValue"
        if !optional.type.mayBe(.optional(.dyn)) || !unwraps && !alternative.type.mayBe(.optional(.dyn)) {
            mismatch(node.span, "no such overload: \(optional.type).\(call.name)(\(alternative.type))")
        }
        let operation = OptionalOrOperation(optional.operation, alternative.operation, unwraps: unwraps, span: place(node.span))
        let wrapped: CELType = if case .optional(let type) = optional.type { type } else { .dyn }
        return Compiled(
            operation: operation, type: unwraps ? wrapped.joined(with: alternative.type) : optional.type.joined(with: alternative.type))
    }
}
