extension Compiler {
    mutating func compileNegation(_ operand: Expression.Node, _ node: Expression.Node) -> Compiled {
        let compiled = compile(operand)
        let isFit =
            compiled.type.mayBe(.int) || compiled.type.mayBe(.double) || isPromoting && [.duration, .string].contains(compiled.type)
        if !isFit { mismatch(node.span, "no such overload: -\(compiled.type)") }
        let operation = NegateOperation(compiled.operation, isPromoting: isPromoting, span: place(node.span))
        return Compiled(
            operation: operation, type: compiled.type == .string ? .double : compiled.type, whyNoBool: isFit ? whyNoBool("-") : nil)
    }

    mutating func compileBinary(
        _ operation: BinaryOperator, _ left: Expression.Node, _ right: Expression.Node, _ node: Expression.Node
    ) -> Compiled {
        let a = compile(left)
        let b = compile(right)
        let span = place(node.span)
        if operation == .in {
            if !b.type.mayBe(.list(.dyn)), !b.type.mayBe(.map(.dyn, .dyn)) { mismatchOperands(operation, left, a, right, b, node) }
            return Compiled(operation: MembershipOperation(a.operation, b.operation, strings: strings, span: span), type: .bool)
        }
        if let comparison = Comparison(operation) {
            if !comparison.isEquality, !areOrdered(a.type, b.type) { mismatchOperands(operation, left, a, right, b, node) }
            if comparison.isEquality, !mayBeEqual(a.type, b.type), environment.typeChecking == .error {
                report(
                    node.span, "never-equal", "\(a.type.withArticle) never equals \(b.type.withArticle)", severity: .warning,
                    notes: [.init(span: left.span, text: "\(a.type)"), .init(span: right.span, text: "\(b.type)")])
            }
            let compiled = ComparisonOperation(comparison, a.operation, b.operation, isPromoting: isPromoting, span: span)
            return Compiled(operation: compiled, type: .bool)
        }
        let type = arithmeticType(operation, a.type, b.type)
        if type == nil { mismatchOperands(operation, left, a, right, b, node) }
        if operation == .divide, isPromoting, case .int(let x)? = a.constant, case .int(let y)? = b.constant {
            report(
                node.span, "integer-division", "both sides are ints, so the quotient is cut to an int",
                hint: "write \(x).0 / \(y).0 for a fraction", severity: .warning)
        }
        let compiled = ArithmeticOperation(operation, a.operation, b.operation, isPromoting: isPromoting, span: span)
        return Compiled(operation: compiled, type: type ?? .dyn, whyNoBool: type == nil ? nil : whyNoBool(operation.rawValue))
    }

    /// What is said of an operator or function none of whose overloads gives a bool.
    func whyNoBool(_ name: String) -> String { "'\(name)' never gives one" }

    private mutating func mismatchOperands(
        _ operation: BinaryOperator, _ left: Expression.Node, _ a: Compiled, _ right: Expression.Node, _ b: Compiled,
        _ node: Expression.Node
    ) {
        mismatch(
            node.span, "no such overload: \(a.type) \(operation.rawValue) \(b.type)",
            hint: durationHint(a, b, right) ?? durationHint(b, a, left),
            notes: [.init(span: left.span, text: "\(a.type)"), .init(span: right.span, text: "\(b.type)")])
    }

    /// A duration beside a number or a text, as in `age(x) > '10m'`.
    private func durationHint(_ side: Compiled, _ other: Compiled, _ node: Expression.Node) -> String? {
        guard side.type == .duration, case .literal = node.kind else { return nil }
        if case .string(let text)? = other.constant { return "write duration('\(text)')" }
        return other.type.isNumber ? "write a duration with its unit, such as duration('10m')" : nil
    }

    private func mayBeNumber(_ a: CELType, beside b: CELType) -> Bool {
        a.isNumber || isPromoting && a == .string && b.isNumber
    }

    private func areOrdered(_ a: CELType, _ b: CELType) -> Bool {
        if a == .dyn { return b == .dyn || isOrdered(b) }
        if b == .dyn { return isOrdered(a) }
        return mayBeNumber(a, beside: b) && mayBeNumber(b, beside: a) || a == b && isOrdered(a)
    }

    private func isOrdered(_ type: CELType) -> Bool {
        switch type {
        case .bool, .int, .uint, .double, .string, .bytes, .timestamp, .duration: true
        default: false
        }
    }

    private func mayBeEqual(_ a: CELType, _ b: CELType) -> Bool {
        // Anything may be compared with null, to ask whether it is.
        if a == .null || b == .null { return true }
        if mayBeNumber(a, beside: b), mayBeNumber(b, beside: a) { return true }
        switch (a, b) {
        case (.list, .list), (.map, .map), (.optional, .optional): return true
        default: return a.mayBe(b)
        }
    }

    /// The type of `a op b`; nil when there is no such overload.
    private func arithmeticType(_ operation: BinaryOperator, _ a: CELType, _ b: CELType) -> CELType? {
        if a == .dyn || b == .dyn {
            let known = a == .dyn ? b : a
            switch known {
            case .dyn, .timestamp, .duration, .int, .uint: return .dyn
            case .double: return operation == .remainder && !isPromoting ? nil : .double
            case .string: return operation == .add && !isPromoting ? .string : isPromoting ? .dyn : nil
            case .bytes: return operation == .add ? known : nil
            case .list: return operation == .add ? .list(.dyn) : nil
            default: return nil
            }
        }
        switch (operation, a, b) {
        case (.remainder, .double, .double): return isPromoting ? .double : nil
        case (_, .int, .int), (_, .uint, .uint), (_, .double, .double): return a
        case (.add, .string, .string), (.add, .bytes, .bytes): return a
        case (.add, .list, .list): return a.joined(with: b)
        case (.add, .timestamp, .duration), (.add, .duration, .timestamp), (.subtract, .timestamp, .duration): return .timestamp
        case (.subtract, .timestamp, .timestamp), (.add, .duration, .duration), (.subtract, .duration, .duration): return .duration
        default: return isPromoting && mayBeNumber(a, beside: b) && mayBeNumber(b, beside: a) ? .double : nil
        }
    }
}
