final class UnaryCallOperation: Operation, @unchecked Sendable {
    let argument: Operation
    let body: @Sendable (Value, inout Frame, Span) throws(Fault) -> Value

    init(_ argument: Operation, _ body: @escaping @Sendable (Value, inout Frame, Span) throws(Fault) -> Value, span: Span) {
        self.argument = argument
        self.body = body
        super.init(span: span)
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        try body(try argument.value(&frame), &frame, span)
    }

    override var operands: [Operation] { [argument] }
}

final class BinaryCallOperation: Operation, @unchecked Sendable {
    let first: Operation, second: Operation
    let body: @Sendable (Value, Value, inout Frame, Span) throws(Fault) -> Value

    init(
        _ first: Operation, _ second: Operation,
        _ body: @escaping @Sendable (Value, Value, inout Frame, Span) throws(Fault) -> Value, span: Span
    ) {
        self.first = first
        self.second = second
        self.body = body
        super.init(span: span)
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        let (a, b) = try bothValues(first, second, &frame)
        return try body(a, b, &frame, span)
    }

    override var operands: [Operation] { [first, second] }
}

final class TernaryCallOperation: Operation, @unchecked Sendable {
    let arguments: [Operation]
    let body: @Sendable (Value, Value, Value, inout Frame, Span) throws(Fault) -> Value

    init(
        _ arguments: [Operation], _ body: @escaping @Sendable (Value, Value, Value, inout Frame, Span) throws(Fault) -> Value, span: Span
    ) {
        self.arguments = arguments
        self.body = body
        super.init(span: span)
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        let values = try allValues(arguments, &frame)
        return try body(values[0], values[1], values[2], &frame, span)
    }

    override var operands: [Operation] { arguments }
}

final class CallOperation: Operation, @unchecked Sendable {
    let arguments: [Operation]
    let body: @Sendable ([Value], inout Frame, Span) throws(Fault) -> Value

    init(_ arguments: [Operation], _ body: @escaping @Sendable ([Value], inout Frame, Span) throws(Fault) -> Value, span: Span) {
        self.arguments = arguments
        self.body = body
        super.init(span: span)
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        try body(try allValues(arguments, &frame), &frame, span)
    }

    override var operands: [Operation] { arguments }
}

/// All arguments, first to last; a real error of a later one wins over a missing name of an earlier one.
func allValues(_ operations: [Operation], _ frame: inout Frame) throws(Fault) -> [Value] {
    var values: [Value] = []
    values.reserveCapacity(operations.count)
    var missing: Fault?
    for operation in operations {
        do throws(Fault) {
            values.append(try operation.value(&frame))
        } catch {
            guard error.code == .missingName else { throw error }
            if missing == nil { missing = error }
        }
    }
    if let missing { throw missing }
    return values
}
