/// Why an evaluation has no value.
public struct EvaluationError: Error, Sendable, Hashable {
    public enum Code: String, Sendable, Hashable, CaseIterable {
        case missingName = "missing-name"
        case unknownName = "unknown-name"
        case unknownFunction = "unknown-function"
        case noSuchOverload = "no-such-overload"
        case noSuchKey = "no-such-key"
        case indexOutOfRange = "index-out-of-range"
        case overflow
        case divisionByZero = "division-by-zero"
        case conversion
        case badArgument = "bad-argument"
        case badPattern = "bad-pattern"
        case badKey = "bad-key"
        case repeatedKey = "repeated-key"
        case limit
        case host
    }

    public var code: Code
    public var span: Span
    public var message: String
}

/// An error on its way; the message is made only when somebody reads it, since most errors are absorbed.
struct Fault: Error {
    enum Detail {
        case text(String)
        /// `no such overload: left operator right`.
        case operands(String, ValueKind, ValueKind)
        case call(String, [ValueKind])
    }

    var code: EvaluationError.Code
    var span: Span
    var detail: Detail

    init(_ code: EvaluationError.Code, _ span: Span, _ text: String) {
        self.code = code
        self.span = span
        detail = .text(text)
    }

    init(noOverload operation: String, _ left: ValueKind, _ right: ValueKind, _ span: Span) {
        code = .noSuchOverload
        self.span = span
        detail = .operands(operation, left, right)
    }

    init(noOverload function: String, _ arguments: [ValueKind], _ span: Span) {
        code = .noSuchOverload
        self.span = span
        detail = .call(function, arguments)
    }

    var truth: Program.Truth { code == .missingName ? .missing : .error }

    var error: EvaluationError {
        let message =
            switch detail {
            case .text(let text): text
            case .operands(let operation, let left, let right): "no such overload: \(left.name) \(operation) \(right.name)"
            case .call(let function, let arguments): "no such overload: \(function)(\(arguments.map(\.name).joined(separator: ", ")))"
            }
        return EvaluationError(code: code, span: span, message: message)
    }
}
