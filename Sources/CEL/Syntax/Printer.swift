extension Expression: CustomStringConvertible {
    /// The expression in canonical layout; parsing it gives the same tree.
    public var description: String {
        var printer = Printer()
        printer.print(root, 0)
        return printer.text
    }
}

extension Value: CustomStringConvertible {
    /// The value as an expression would write it, where it can: strings quoted, uints with `u`, doubles with a point.
    public var description: String {
        var printer = Printer()
        printer.print(self)
        return printer.text
    }
}

/// Writes expressions and values in CEL's own syntax.
struct Printer {
    private(set) var text = ""

    // MARK: nodes

    /// Strength of binding: 0 conditional, 1 `||`, 2 `&&`, 3 relations, 4 sums, 5 products, 6 unary, 7 members.
    private func precedence(_ node: Expression.Node) -> Int {
        switch node.kind {
        case .conditional: 0
        case .logical(.or, _): 1
        case .logical(.and, _): 2
        case .binary(let operation, _, _): operation.precedence
        case .negate, .not: 6
        case .literal(.int(let number)): number < 0 ? 6 : 7
        case .literal(.double(let number)): number.sign == .minus ? 6 : 7
        default: 7
        }
    }

    mutating func print(_ node: Expression.Node, _ minimum: Int) {
        let needsParentheses = precedence(node) < minimum
        if needsParentheses { text += "(" }
        switch node.kind {
        case .literal(let value): print(value)
        case .name(let name, let isRooted): text += (isRooted ? "." : "") + name
        case .select(let operand, let field):
            print(operand, 7)
            text += field.isOptional ? ".?" : "."
            text += field.isQuoted ? "`\(field.name)`" : field.name
        case .index(let operand, let key, let isOptional):
            print(operand, 7)
            text += isOptional ? "[?" : "["
            print(key, 0)
            text += "]"
        case .call(let call): printCall(call)
        case .negate(let operand): printUnary("-", operand)
        case .not(let operand): printUnary("!", operand)
        case .binary(let operation, let left, let right):
            print(left, operation.precedence)
            text += " \(operation.rawValue) "
            print(right, operation.precedence + 1)
        case .logical(let operation, let terms):
            let own = operation == .and ? 2 : 1
            separated(terms, by: " \(operation.rawValue) ") { $0.print($1, own + 1) }
        case .conditional(let condition, let yes, let no):
            print(condition, 1)
            text += " ? "
            print(yes, 1)
            text += " : "
            print(no, 0)
        case .list(let elements):
            text += "["
            separated(elements, by: ", ") {
                $0.text += $1.isOptional ? "?" : ""
                $0.print($1.node, 0)
            }
            text += "]"
        case .map(let entries):
            text += "{"
            separated(entries, by: ", ") {
                $0.text += $1.isOptional ? "?" : ""
                $0.print($1.key, 0)
                $0.text += ": "
                $0.print($1.value, 0)
            }
            text += "}"
        case .message(let name, let entries):
            text += name + "{"
            separated(entries, by: ", ") {
                $0.text += $1.isOptional ? "?" : ""
                if case .literal(.string(let field)) = $1.key.kind { $0.text += field }
                $0.text += ": "
                $0.print($1.value, 0)
            }
            text += "}"
        case .invalid: text += "?"
        }
        if needsParentheses { text += ")" }
    }

    /// `-5` is a literal and `--5` the negative of one; a minus before anything that begins with a number needs parentheses to stay one.
    private mutating func printUnary(_ sign: String, _ operand: Expression.Node) {
        text += sign
        let isOther: Bool
        switch operand.kind {
        case .negate: isOther = sign == "!"
        case .not: isOther = sign == "-"
        default: isOther = sign == "!" ? precedence(operand) == 6 : startsWithNumber(operand)
        }
        if isOther {
            text += "("
            print(operand, 0)
            text += ")"
        } else {
            print(operand, 6)
        }
    }

    private func startsWithNumber(_ node: Expression.Node) -> Bool {
        switch node.kind {
        case .literal(.int), .literal(.uint), .literal(.double): true
        case .select(let operand, _), .index(let operand, _, _): startsWithNumber(operand)
        case .call(let call): call.receiver.map { startsWithNumber($0) } ?? false
        default: false
        }
    }

    private mutating func printCall(_ call: Expression.Call) {
        if let receiver = call.receiver {
            print(receiver, 7)
            text += "."
        } else if call.isRooted {
            text += "."
        }
        text += call.name + "("
        separated(call.arguments, by: ", ") { $0.print($1, 0) }
        text += ")"
    }

    private mutating func separated<T>(_ items: [T], by separator: String, _ print: (inout Printer, T) -> Void) {
        for (index, item) in items.enumerated() {
            if index > 0 { text += separator }
            print(&self, item)
        }
    }

    // MARK: values

    /// Values may share their parts: their text is cut where it would grow beyond all measure.
    private static let maximumLength = 16 << 20

    mutating func print(_ value: Value) {
        if text.utf8.count > Printer.maximumLength { return }
        switch value {
        case .null: text += "null"
        case .bool(let flag): text += flag ? "true" : "false"
        case .int(let number): text += String(number)
        case .uint(let number): text += String(number) + "u"
        case .double(let number): print(number)
        case .string(let string): quote(string.unicodeScalars)
        case .bytes(let bytes):
            text += "b\""
            for byte in bytes { print(byte) }
            text += "\""
        case .list(let elements):
            text += "["
            separated(elements, by: ", ") { $0.print($1) }
            text += "]"
        case .map(let map):
            text += "{"
            separated(map.pairs, by: ", ") {
                $0.print($1.key)
                $0.text += ": "
                $0.print($1.value)
            }
            text += "}"
        case .timestamp(let instant): text += "timestamp(\"\(instant.text)\")"
        case .duration(let length): text += "duration(\"\(DurationText.seconds(nanoseconds: length))\")"
        case .type(let type): text += type.name
        case .optional(let optional):
            guard let wrapped = optional.wrapped else {
                text += "optional.none()"
                return
            }
            text += "optional.of("
            print(wrapped)
            text += ")"
        case .opaque(let opaque):
            if let shown = opaque.text {
                text += opaque.typeName.name + "("
                quote(shown.unicodeScalars)
                text += ")"
            } else {
                text += opaque.typeName.name
            }
        }
    }

    private mutating func print(_ number: Double) {
        guard number.isFinite else {
            // No literal gives a NaN; one too large for a double gives an infinity.
            text += number.isNaN ? "double(\"NaN\")" : number < 0 ? "-1e999" : "1e999"
            return
        }
        let shown = number.description
        text += shown
        if !shown.utf8.contains(where: { $0 == UInt8(ascii: ".") || $0 | 0x20 == UInt8(ascii: "e") }) { text += ".0" }
    }

    private mutating func print(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): text += "\\" + String(UnicodeScalar(byte))
        case 0x20...0x7E: text += String(UnicodeScalar(byte))
        default: text += "\\x" + hex(UInt32(byte), 2)
        }
    }

    private mutating func quote(_ scalars: String.UnicodeScalarView) {
        text += "\""
        for scalar in scalars {
            switch scalar.value {
            case 0x07: text += "\\a"
            case 0x08: text += "\\b"
            case 0x09: text += "\\t"
            case 0x0A: text += "\\n"
            case 0x0B: text += "\\v"
            case 0x0C: text += "\\f"
            case 0x0D: text += "\\r"
            case 0x22: text += "\\\""
            case 0x5C: text += "\\\\"
            case 0..<0x20, 0x7F..<0xA0: text += "\\u" + hex(scalar.value, 4)
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }

    private func hex(_ value: UInt32, _ width: Int) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
}
