/// `+ - * / %`.
final class ArithmeticOperation: Operation, @unchecked Sendable {
    let operation: BinaryOperator
    let left: Operation, right: Operation
    let isPromoting: Bool
    private let isFast: Bool
    private let leftSource: ScalarSource, rightSource: ScalarSource

    init(_ operation: BinaryOperator, _ left: Operation, _ right: Operation, isPromoting: Bool, span: Span) {
        self.operation = operation
        self.left = left
        self.right = right
        self.isPromoting = isPromoting
        isFast = left.isScalar && right.isScalar
        leftSource = ScalarSource(left)
        rightSource = ScalarSource(right)
        super.init(span: span)
    }

    override var isScalar: Bool { isFast }
    override var operands: [Operation] { [left, right] }

    override func scalar(_ frame: inout Frame) -> Slot {
        let a = leftSource.fetch(left, &frame)
        let b = rightSource.fetch(right, &frame)
        if a.kind == .double, b.kind == .double {
            switch operation {
            case .add: return Slot(a.double + b.double)
            case .subtract: return Slot(a.double - b.double)
            case .multiply: return Slot(a.double * b.double)
            case .divide: return Slot(a.double / b.double)
            default: break
            }
        }
        return uncommon(a, b, &frame)
    }

    @inline(never)
    private func uncommon(_ a: Slot, _ b: Slot, _ frame: inout Frame) -> Slot {
        if a.kind == .object || b.kind == .object { return .boxless }
        if a.kind == .error || b.kind == .error { return .error }
        if a.kind == .missing || b.kind == .missing { return .missing }
        guard let x = a.value(in: frame.strings), let y = b.value(in: frame.strings) else { return .error }
        do throws(Fault) {
            let result = try operation.apply(x, y, isPromoting: isPromoting, &frame, span)
            return Slot(inline: result) ?? .boxless
        } catch {
            return .error
        }
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        let (a, b) = try bothValues(left, right, &frame)
        if case .double(let x) = a, case .double(let y) = b {
            switch operation {
            case .add: return .double(x + y)
            case .subtract: return .double(x - y)
            case .multiply: return .double(x * y)
            case .divide: return .double(x / y)
            default: break
            }
        }
        return try operation.apply(a, b, isPromoting: isPromoting, &frame, span)
    }
}

final class NegateOperation: Operation, @unchecked Sendable {
    let operand: Operation
    let isPromoting: Bool

    init(_ operand: Operation, isPromoting: Bool, span: Span) {
        self.operand = operand
        self.isPromoting = isPromoting
        super.init(span: span)
    }

    override var isScalar: Bool { operand.isScalar }
    override var operands: [Operation] { [operand] }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        let value = try operand.value(&frame)
        switch value {
        case .int(let number):
            guard number != .min else { throw Fault(.overflow, span, "integer overflow") }
            return .int(-number)
        case .double(let number): return .double(-number)
        case .duration(let number):
            guard number != .min, isPromoting else { throw Fault(noOverload: "-", [value.kind], span) }
            return .duration(nanoseconds: -number)
        case .string(let text):
            guard isPromoting, let number = JSONNumber.parse(text) else { throw Fault(noOverload: "-", [value.kind], span) }
            return .double(-number)
        default: throw Fault(noOverload: "-", [value.kind], span)
        }
    }
}

extension BinaryOperator {
    func apply(_ a: Value, _ b: Value, isPromoting: Bool, _ frame: inout Frame, _ span: Span) throws(Fault) -> Value {
        switch (a, b) {
        case (.int(let x), .int(let y)): return .int(try integer(x, y, span))
        case (.uint(let x), .uint(let y)): return .uint(try integer(x, y, span))
        case (.double(let x), .double(let y)): return try double(x, y, isPromoting: isPromoting, span)
        case (.string(let x), .string(let y)) where self == .add:
            try frame.allocate(x.utf8.count &+ y.utf8.count, span)
            try frame.charge((x.utf8.count &+ y.utf8.count) / 64, span)
            return .string(x + y)
        case (.bytes(let x), .bytes(let y)) where self == .add:
            try frame.allocate(x.count &+ y.count, span)
            try frame.charge((x.count &+ y.count) / 64, span)
            return .bytes(x + y)
        case (.list(let x), .list(let y)) where self == .add:
            try frame.allocate(listBytes(x.count &+ y.count), span)
            try frame.charge((x.count &+ y.count) / 16, span)
            return .list(x + y)
        case (.timestamp, _), (.duration, _): return try time(a, b, span)
        default: break
        }
        guard isPromoting else { throw Fault(noOverload: rawValue, a.kind, b.kind, span) }
        return try promoted(a, b, span)
    }

    private func promoted(_ a: Value, _ b: Value, _ span: Span) throws(Fault) -> Value {
        // Two strings are never numbers: text + text is text.
        guard a.isNumber || b.isNumber, let x = a.promotedNumber, let y = b.promotedNumber else {
            throw Fault(noOverload: rawValue, a.kind, b.kind, span)
        }
        return try double(x, y, isPromoting: true, span)
    }

    private func double(_ x: Double, _ y: Double, isPromoting: Bool, _ span: Span) throws(Fault) -> Value {
        switch self {
        case .add: return .double(x + y)
        case .subtract: return .double(x - y)
        case .multiply: return .double(x * y)
        case .divide: return .double(x / y)
        case .remainder where isPromoting: return .double(x.truncatingRemainder(dividingBy: y))
        default: throw Fault(noOverload: rawValue, .double, .double, span)
        }
    }

    private func integer<T: FixedWidthInteger>(_ x: T, _ y: T, _ span: Span) throws(Fault) -> T {
        let result: (partialValue: T, overflow: Bool)
        switch self {
        case .add: result = x.addingReportingOverflow(y)
        case .subtract: result = x.subtractingReportingOverflow(y)
        case .multiply: result = x.multipliedReportingOverflow(by: y)
        case .divide, .remainder:
            guard y != 0 else { throw Fault(.divisionByZero, span, self == .divide ? "division by zero" : "modulus by zero") }
            result = self == .divide ? x.dividedReportingOverflow(by: y) : x.remainderReportingOverflow(dividingBy: y)
        default: throw Fault(.noSuchOverload, span, "not arithmetic")
        }
        guard !result.overflow else { throw Fault(.overflow, span, "integer overflow") }
        return result.partialValue
    }

    private func time(_ a: Value, _ b: Value, _ span: Span) throws(Fault) -> Value {
        switch (self, a, b) {
        case (.add, .timestamp(let at), .duration(let length)), (.add, .duration(let length), .timestamp(let at)):
            guard let sum = at.adding(nanoseconds: length) else { throw Fault(.overflow, span, "timestamp out of range") }
            return .timestamp(sum)
        case (.subtract, .timestamp(let at), .duration(let length)):
            // Subtracted in two halves: the negative of the shortest duration does not exist.
            let half = length / 2
            guard let sum = at.adding(nanoseconds: -half).flatMap({ $0.adding(nanoseconds: -(length - half)) }) else {
                throw Fault(.overflow, span, "timestamp out of range")
            }
            return .timestamp(sum)
        case (.subtract, .timestamp(let x), .timestamp(let y)):
            guard let difference = x.nanoseconds(since: y) else { throw Fault(.overflow, span, "duration out of range") }
            return .duration(nanoseconds: difference)
        case (.add, .duration(let x), .duration(let y)), (.subtract, .duration(let x), .duration(let y)):
            let (sum, isOver) = self == .add ? x.addingReportingOverflow(y) : x.subtractingReportingOverflow(y)
            guard !isOver else { throw Fault(.overflow, span, "duration out of range") }
            return .duration(nanoseconds: sum)
        default: throw Fault(noOverload: rawValue, a.kind, b.kind, span)
        }
    }
}

extension Value {
    /// A number as promoting arithmetic sees it: doubles, ints, uints, and strings that are wholly a JSON number.
    public var promotedNumber: Double? {
        switch self {
        case .int(let number): Double(number)
        case .uint(let number): Double(number)
        case .double(let number): number
        case .string(let text): JSONNumber.parse(text)
        default: nil
        }
    }
}

/// The number grammar of JSON (RFC 8259 §6).
enum JSONNumber {
    static func parse(_ text: String) -> Double? {
        // Nobody means a longer text to be a number, and reading one would take time that no limit counts.
        guard text.utf8.count <= 512 else { return nil }
        let isNumber = text.withBytes { bytes in end(of: bytes, from: 0) == bytes.count }
        guard isNumber else { return nil }
        return Double(text)
    }

    /// Where the number that begins at `start` ends; nil when none does.
    static func end(of bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
        var index = start
        func isDigit(_ index: Int) -> Bool { index < bytes.count && Lexer.isDigit(bytes[index]) }
        if index < bytes.count, bytes[index] == UInt8(ascii: "-") { index += 1 }
        guard isDigit(index) else { return nil }
        if bytes[index] == UInt8(ascii: "0") {
            index += 1
        } else {
            while isDigit(index) { index += 1 }
        }
        if index < bytes.count, bytes[index] == UInt8(ascii: ".") {
            guard isDigit(index + 1) else { return nil }
            index += 1
            while isDigit(index) { index += 1 }
        }
        if index < bytes.count, bytes[index] | 0x20 == UInt8(ascii: "e") {
            index += 1
            if index < bytes.count, bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-") { index += 1 }
            guard isDigit(index) else { return nil }
            while isDigit(index) { index += 1 }
        }
        return index
    }
}
