import CEL

/// Windows that reach further back than the engine's own history: over what is recorded of a field.
extension WindowCall {
    /// Nil for a window that the engine's own samples are enough for.
    func recorded(_ specification: WindowSpecification, _ expression: Expression, _ expressionSpan: Span, _ program: Program)
        -> CallResolution?
    {
        let recorded = scope.surroundings.recorded
        guard let reach = recorded.ownReach, !scope.rule.subscriptions.isEmpty, specification.shift >= RecordedPlan.leastShift else {
            return nil
        }
        guard case .time(let length) = specification.extent else { return counted(specification, reach) }
        guard length.addingSaturated(specification.shift) > reach.inNanoseconds else { return nil }
        let beyond = "'\(call.name)' reaches back further than 'windows.own_history' (\(reach.ruleText))"
        guard recorded.isKnown else {
            scope.warn(
                CELDiagnostic(
                    span: call.span, severity: .warning, code: "window-history",
                    message: "\(beyond): the server has to record these readings",
                    hint: "with the server's configuration (--config) it is known whether it does"))
            return nil
        }
        if specification.function.kind == .truth {
            return fail(
                call.span, "\(beyond): of a condition that far back it is not known how it began",
                hint: "a larger 'windows.own_history' keeps it in memory")
        }
        guard let field = field(expression, program) else {
            return fail(expressionSpan, "\(beyond), and takes a field as it is recorded, no other expression")
        }
        guard let selection = recorded.selection(of: field, scope.rule.subscriptions, by: scope.rule.by) else {
            return fail(
                call.span,
                "\(beyond), and no measurement of 'recorder.measurements' has '\(field)' of all readings of 'on', told apart as the instances are",
                hint: "record them, or keep them in memory: a larger 'windows.own_history'")
        }
        return .slot(slot(specification, length, selection, field), type: specification.function.resultType)
    }

    private func slot(_ specification: WindowSpecification, _ length: Int64, _ selection: RecordedSelection, _ field: String) -> Int {
        let source = scope.source
        let plan = RecordedPlan(
            selection, field: field, length: length, shift: specification.shift, hasEventTime: source.plan.hasEventTime)
        let query = scope.queries.number(of: plan, for: source.plan.key, tags: selection.tags)
        let window = scope.queries.window(specification.function, of: query)
        if !scope.recordedQueries.contains(query) { scope.recordedQueries.append(query) }
        let side = source.side(SidePlan(query: query, keyPlaces: Array(scope.rule.by.indices)))
        return source.extra("recorded \(query) \(window)", .recorded(side, window))
    }

    /// The name under which a plain field is recorded.
    private func field(_ expression: Expression, _ program: Program) -> String? {
        guard expression.root.isPath, let slot = program.bareSlot, slot < firstExtraSlot,
            case let path = scope.source.plan.fields[slot], path.origin == .payload, !path.elements.isEmpty
        else { return nil }
        return path.recordedName
    }

    /// How far back so many samples reach nobody knows.
    private func counted(_ specification: WindowSpecification, _ reach: Duration) -> CallResolution? {
        guard specification.shift > reach.inNanoseconds else { return nil }
        return fail(
            call.span,
            "'\(call.name)' reaches back further than 'windows.own_history' (\(reach.ruleText)): a number of samples is not fetched",
            hint: "a window of a length of time can be")
    }

    private func fail(_ span: Span, _ message: String, hint: String? = nil) -> CallResolution {
        .invalid([CELDiagnostic(span: span, code: "window-history", message: message, hint: hint)])
    }
}

extension FieldPath {
    /// The name of a member of a payload as a recorder writes it: its path, without quotation marks.
    var recordedName: String {
        var name = ""
        for element in elements {
            switch element {
            case .name(let part): name += (name.isEmpty ? "" : ".") + part
            case .index(let index): name += "[\(index)]"
            }
        }
        return name
    }
}
