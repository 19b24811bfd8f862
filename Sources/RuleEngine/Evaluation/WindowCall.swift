import CEL

/// A call of a window function in an expression: `avg_over_time(e, '5m')`, `quantile_over_time(0.9, e, '1h')`, `avg_over_last(e, 10)`, with the shift as a last argument.
struct WindowCall {
    let call: HostCall
    let scope: RuleScope

    func resolve() -> CallResolution {
        guard let (stem, overLast) = WindowFunction.named(call.name) else { return .notMine }
        if scope.place == .label { return fail(call.span, "label-measured", "a label may not depend on a measured value") }
        if stem == .all, !overLast {
            return fail(
                call.span, "unknown-function",
                "there is no '\(call.name)': a condition that lasts is said with 'for', or share_over_time(…) == 1")
        }
        var next = 0
        var quantile: Double?
        if stem.takesQuantile {
            guard let number = number(next) else {
                return fail(span(next), "window", "'\(call.name)' takes a number, an expression and a duration")
            }
            quantile = number
            next += 1
        }
        guard call.arguments.count > next else {
            return fail(call.span, "argument-count", "'\(call.name)' takes an expression and a duration")
        }
        let expression = call.arguments[next]
        let expressionSpan = call.argumentSpans[next]
        next += 1
        var parameter: Int64?
        let extent: WindowSpecification.Extent
        if stem == .ewma {
            guard let halflife = duration(next) else { return failDuration(next) }
            parameter = halflife
            extent = .count(1)
        } else if overLast {
            guard let count = number(next), count >= 1, count <= 1_000_000, count == count.rounded() else {
                return fail(span(next), "window", "'\(call.name)' takes a whole number of samples, at least 1")
            }
            extent = .count(Int(count))
        } else {
            guard let length = duration(next), length > 0 else { return failDuration(next) }
            extent = .time(length)
        }
        next += 1
        if stem == .predictLinear {
            guard let ahead = duration(next) else { return failDuration(next) }
            parameter = ahead
            next += 1
        }
        var shift: Int64 = 0
        if call.arguments.count > next, stem != .ewma {
            guard let back = duration(next) else { return failDuration(next) }
            guard back >= 0 else { return fail(span(next), "window", "a window is shifted back in time only, by a duration such as '1h'") }
            shift = back
            next += 1
        }
        guard call.arguments.count == next else { return fail(call.span, "argument-count", "'\(call.name)' takes \(next) arguments here") }
        guard let function = stem.function(quantile: quantile, nanoseconds: parameter) else {
            return fail(call.span, "window", "'\(call.name)' needs a half-life above zero")
        }
        return slot(
            stem, function, WindowSpecification(function, over: extent, shiftedBy: shift), expression, expressionSpan)
    }

    private func slot(
        _ stem: WindowFunction.Stem, _ function: WindowFunction, _ specification: WindowSpecification, _ expression: Expression,
        _ expressionSpan: Span
    ) -> CallResolution {
        if let local = expression.freeNames.first(where: call.localNames.contains) {
            return fail(expressionSpan, "local-name", "'\(call.name)' cannot see '\(local)', which only exists inside a comprehension")
        }
        var names = RuleNames(scope: scope)
        let result = scope.environment.compile(
            expression, names: &names, strings: scope.strings, expecting: stem.takesCondition ? .bool : nil)
        guard let program = result.program, !result.diagnostics.contains(where: { $0.severity == .error }) else {
            return .invalid(result.diagnostics)
        }
        let reach = scope.source.reach(program)
        guard !reach.fields.isEmpty || reach.extras.contains(where: { scope.source.plan.extras[Int($0)].kind.isMembers }) else {
            return fail(expressionSpan, "no-field", "'\(call.name)' takes something that readings carry")
        }
        if let resolution = recorded(specification, expression, expressionSpan, program) { return resolution }
        let place = scope.source.window(specification, over: program, text: expression.description, samples: stem.samples)
        let slot = scope.source.extra("window \(place)", meaning: "\(specification) \(expression)", .window(place), over: program)
        if function.kind == .truth { scope.note(call.name, call.span, slot: slot) }
        if case .predictLinear = function { scope.note(call.name, call.span, slot: slot, turns: false) }
        return .slot(slot, type: function.resultType)
    }

    // MARK: Constant arguments

    private func literal(_ place: Int) -> Value? {
        guard call.arguments.indices.contains(place) else { return nil }
        switch call.arguments[place].root.kind {
        case .literal(let value): return value
        case .negate(let operand):
            guard case .literal(let value) = operand.kind else { return nil }
            switch value {
            case .double(let number): return .double(-number)
            case .int(let number): return number == .min ? nil : .int(-number)
            default: return nil
            }
        default: return nil
        }
    }

    private func number(_ place: Int) -> Double? {
        switch literal(place) {
        case .double(let number): return number
        case .int(let number): return Double(number)
        case .uint(let number): return Double(number)
        default: break
        }
        // Infinities and NaN have no literal: double('Infinity').
        guard call.arguments.indices.contains(place) else { return nil }
        let strings = InternedStrings()
        var names = NoNames()
        guard let program = scope.environment.compile(call.arguments[place], names: &names, strings: strings).program else { return nil }
        var slot = Slot.missing
        return withUnsafePointer(to: &slot) { slots in
            if case .value(.double(let number)) = program.evaluate(slots) { number } else { nil }
        }
    }

    private func duration(_ place: Int) -> Int64? {
        guard case .string(let text)? = literal(place) else { return nil }
        let isNegative = text.hasPrefix("-")
        guard let length = Duration(ruleText: isNegative ? String(text.dropFirst()) : text) else { return nil }
        return isNegative ? -length.inNanoseconds : length.inNanoseconds
    }

    private func span(_ place: Int) -> Span { call.argumentSpans.indices.contains(place) ? call.argumentSpans[place] : call.span }

    private func fail(_ span: Span, _ code: String, _ message: String) -> CallResolution {
        .invalid([CELDiagnostic(span: span, code: code, message: message)])
    }

    private func failDuration(_ place: Int) -> CallResolution {
        guard call.arguments.indices.contains(place) else {
            let form =
                call.name == "predict_linear"
                ? ", a duration in quotes and how far ahead: predict_linear(x, '1h', '4h')"
                : " and a duration in quotes: \(call.name)(x, '5m')"
            return fail(call.span, "argument-count", "'\(call.name)' takes an expression\(form)")
        }
        return fail(span(place), "window", "'\(call.name)' takes a duration in quotes here, such as '5m'")
    }
}

extension WindowFunction {
    /// The type that expressions see.
    var resultType: CELType {
        switch self {
        case .present, .absent, .any, .all: .bool
        case .duration: .duration
        case .tsOfMin, .tsOfMax, .tsOfLast, .tsOfFirst: .timestamp
        default: .double
        }
    }
}

extension Slot {
    init(_ value: WindowValue?) {
        switch value {
        case .number(let number): self.init(number)
        case .truth(let truth): self.init(truth)
        case .instant(let instant): self.init(instant)
        case .duration(let nanoseconds): self.init(durationNanoseconds: nanoseconds)
        case nil: self = .missing
        }
    }
}
