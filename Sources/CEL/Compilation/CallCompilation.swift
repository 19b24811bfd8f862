extension Compiler {
    mutating func compileCall(_ call: Expression.Call, _ node: Expression.Node) -> Compiled {
        if let answered = hostCall(call, node, selections: []) { return answered.compiled }
        if let compiled = hostMacro(call, node) { return compiled }
        if let compiled = compileMacro(call, node) { return compiled }
        return function(call, node)
    }

    // MARK: the host's calls and macros

    /// What the host makes of a call, and how many of the selections that follow it are in that.
    mutating func hostCall(
        _ call: Expression.Call, _ node: Expression.Node, selections: [(element: PathElement, node: Expression.Node)]
    ) -> (compiled: Compiled, consumed: Int)? {
        let source = source
        func expression(_ node: Expression.Node) -> Expression { Expression(source: source, root: node) }
        let question = HostCall(
            name: call.name, receiver: call.receiver.map(expression), arguments: call.arguments.map(expression), span: place(node.span),
            argumentSpans: call.arguments.map { place($0.span) }, localNames: scope.map(\.name),
            selections: selections.map(\.element))
        let answer = names.call(question)
        answers.calls.append(answer)
        switch answer {
        case .notMine: return nil
        case .slot(let index, let type, let consumed):
            guard (0...selections.count).contains(consumed) else { return nil }
            functionsUsed.insert(call.name)
            slotsUsed.insert(index)
            let whole = consumed == 0 ? node : selections[consumed - 1].node
            let name = Expression(source: source, root: whole).text
            return (Compiled(operation: SlotOperation(index, name: name, span: place(whole.span)), type: type), consumed)
        case .invalid(let found):
            diagnostics += found
            return (fault(.badArgument, "a call that is not valid", node.span), selections.count)
        }
    }

    private mutating func hostMacro(_ call: Expression.Call, _ node: Expression.Node) -> Compiled? {
        let (name, isMember) = qualifiedName(call, among: { environment.macros[$0] != nil })
        let style: Function.Style = isMember ? .member : .global
        guard let macro = environment.macros[name]?.first(where: { $0.style == style && $0.argumentCount == call.arguments.count }) else {
            return nil
        }
        functionsUsed.insert(name)
        do throws(MacroFailure) {
            return compile(try macro.expand(call, node.span))
        } catch {
            for diagnostic in error.diagnostics { diagnostics.append(diagnostic) }
            return fault(.badArgument, "a macro that cannot be expanded", node.span)
        }
    }

    /// The name a call is found by: `math.abs(x)` is a function with a namespace when there is one, else `abs` called on `math`.
    func qualifiedName(_ call: Expression.Call, among exists: (String) -> Bool) -> (name: String, isMember: Bool) {
        guard let receiver = call.receiver else { return (call.name, false) }
        guard let namespace = namespace(receiver) else { return (call.name, true) }
        let qualified = namespace + "." + call.name
        return exists(qualified) ? (qualified, false) : (call.name, true)
    }

    private func namespace(_ node: Expression.Node) -> String? {
        switch node.kind {
        case .name(let name, let isRooted): isRooted || variable(name) == nil ? name : nil
        case .select(let operand, let field) where !field.isOptional: namespace(operand).map { $0 + "." + field.name }
        default: nil
        }
    }

    // MARK: functions

    private mutating func function(_ call: Expression.Call, _ node: Expression.Node) -> Compiled {
        let extensions = environment.extensions
        let environment = environment
        let (name, isMember) = qualifiedName(
            call,
            among: {
                environment.functions[$0] != nil || !StandardLibrary.functions(named: $0, extensions).isEmpty
                    || PatternFunctions.names.contains($0)
            })
        functionsUsed.insert(name)
        var nodes = call.arguments
        if isMember, let receiver = call.receiver { nodes.insert(receiver, at: 0) }
        if let compiled = hostFunction(name, isMember: isMember, nodes, node) { return compiled }
        if let compiled = compilePatternCall(name, isMember: isMember, nodes, node) { return compiled }
        let candidates = StandardLibrary.functions(named: name, extensions)
        guard let found = candidates.first(where: { $0.takes(receiver: isMember) && $0.arity == nodes.count }) else {
            return unknownFunction(name, isMember: isMember, nodes, call, node, candidates)
        }
        let arguments = nodes.map { compile($0) }
        let result = resultType(found, arguments, node)
        checkConstant(of: found, arguments, nodes)
        let operation = operation(found, arguments.map(\.operation), place(node.span))
        return Compiled(operation: operation, type: result.type, whyNoBool: result.whyNoBool)
    }

    /// A duration or an instant that is written out can be seen to be none before it is evaluated.
    private mutating func checkConstant(of function: StandardFunction, _ arguments: [Compiled], _ nodes: [Expression.Node]) {
        guard environment.typeChecking == .error, arguments.count == 1, case .string(let text)? = arguments[0].constant,
            let mistake = ConversionFunctions.mistake(in: text, of: function.name)
        else { return }
        report(nodes[0].span, "conversion", mistake.message, hint: mistake.hint)
    }

    private func operation(_ function: StandardFunction, _ arguments: [Operation], _ span: Span) -> Operation {
        let operation: Operation =
            switch function.body {
            case .unary(let body): UnaryCallOperation(arguments[0], body, span: span)
            case .binary(let body):
                if let test = StringTest(rawValue: function.name) {
                    StringTestOperation(test, arguments[0], arguments[1], span: span)
                } else {
                    BinaryCallOperation(arguments[0], arguments[1], body, span: span)
                }
            case .ternary(let body): TernaryCallOperation(arguments, body, span: span)
            case .any(let body): CallOperation(arguments, body, span: span)
            }
        return function.isPure ? operation : ImpureOperation(operation)
    }

    private mutating func resultType(
        _ function: StandardFunction, _ arguments: [Compiled], _ node: Expression.Node
    ) -> (type: CELType, whyNoBool: String?) {
        let fitting = function.signatures.filter { signature in
            zip(signature.parameters, arguments).allSatisfy { $1.type.mayBe($0) }
        }
        if fitting.isEmpty {
            let types = arguments.map { $0.type.description }.joined(separator: ", ")
            mismatch(node.span, "no such overload: \(function.name)(\(types))")
            return (.dyn, nil)
        }
        let result = joined(fitting.map(\.result), of: function.name)
        // What picks from a list of records gives records.
        guard arguments.first?.type == .list(.record) else { return result }
        switch result.type {
        case .list(.dyn): return (.list(.record), nil)
        case .optional(.dyn): return (.optional(.record), nil)
        default: return result
        }
    }

    /// What is known of a value that is of one of these types; of any when there are none.
    private func joined(_ results: [CELType], of name: String) -> (type: CELType, whyNoBool: String?) {
        let type = results.dropFirst().reduce(results.first ?? .dyn) { $0.joined(with: $1) }
        let mayBeBool = results.isEmpty || results.contains { $0.mayBe(.bool) }
        return (type, mayBeBool ? nil : whyNoBool(name))
    }

    private mutating func hostFunction(_ name: String, isMember: Bool, _ nodes: [Expression.Node], _ node: Expression.Node) -> Compiled? {
        let style: Function.Style = isMember ? .member : .global
        let overloads = (environment.functions[name] ?? []).filter { $0.style == style && $0.parameters.count == nodes.count }
        guard !overloads.isEmpty else { return nil }
        let arguments = nodes.map { compile($0) }
        let fitting = overloads.filter { zip($0.parameters, arguments).allSatisfy { $1.type.mayBe($0) } }
        if fitting.isEmpty {
            let types = arguments.map { $0.type.description }.joined(separator: ", ")
            mismatch(node.span, "no such overload: \(name)(\(types))")
        }
        if fitting.count == 1 {
            let found = fitting[0].checkArguments(arguments.map(\.constant), nodes.map { place($0.span) })
            diagnostics += found
        }
        let result = joined(fitting.map(\.result), of: name)
        let operation = CallOperation(
            arguments.map(\.operation),
            { (values, _, span) throws(Fault) in
                for overload in overloads where zip(overload.parameters, values).allSatisfy({ CELType(kindOf: $1).mayBe($0) }) {
                    do throws(FunctionFailure) {
                        return try overload.body(values)
                    } catch {
                        throw Fault(error.isMissing ? .missingName : .host, span, error.message)
                    }
                }
                throw Fault(noOverload: name, values.map(\.kind), span)
            }, span: place(node.span))
        return Compiled(operation: ImpureOperation(operation), type: result.type, whyNoBool: result.whyNoBool)
    }

    private mutating func unknownFunction(
        _ name: String, isMember: Bool, _ nodes: [Expression.Node], _ call: Expression.Call, _ node: Expression.Node,
        _ candidates: [StandardFunction]
    ) -> Compiled {
        let known = environment.functions[name] != nil || !candidates.isEmpty
        let message =
            known
            ? "no such overload: \(isMember ? "a call of " : "")'\(name)' \(isMember ? "on a value " : "")with \(call.arguments.count) arguments"
            : "unknown function '\(name)'"
        if environment.unknownNames == .error {
            let names =
                StandardLibrary.names(environment.extensions) + Array(environment.functions.keys) + Compiler.macroNames
                + environment.resolvedFunctions
            if !known, isMember, let unknown = unknownInNamespace(call, node, among: names) { return unknown }
            let near = known ? nil : mathematical(name, names) ?? nearest(name, names)
            report(call.nameSpan, known ? "no-such-overload" : "unknown-function", message, hint: near.map { "did you mean '\($0)'?" })
            for argument in nodes { _ = compile(argument) }
        }
        return fault(known ? .noSuchOverload : .unknownFunction, message, node.span)
    }

    /// `math.abz(x)`, where `math` is what functions' names begin with: one mistake and not two. Nil when it may be a call on a value.
    private mutating func unknownInNamespace(_ call: Expression.Call, _ node: Expression.Node, among names: [String]) -> Compiled? {
        guard let receiver = call.receiver, let namespace = namespace(receiver),
            names.contains(where: { $0.utf8.starts(with: (namespace + ".").utf8) })
        else { return nil }
        let full = namespace + "." + call.name
        let near = mathematical(call.name, names) ?? nearest(full, names)
        guard near != nil || nearest(call.name, names) == nil else { return nil }
        let message = "unknown function '\(full)'"
        let span = Span(start: receiver.span.start, end: call.nameSpan.end)
        report(span, "unknown-function", message, hint: near.map { "did you mean '\($0)'?" })
        for argument in call.arguments { _ = compile(argument) }
        return fault(.unknownFunction, message, node.span)
    }
}

extension Compiler {
    /// `abs` is `math.abs`, and `max` is `math.greatest`, also where somebody wrote `math.max` or `list.max()`.
    fileprivate func mathematical(_ name: String, _ names: [String]) -> String? {
        guard names.contains("math.abs") else { return nil }
        switch name {
        case "max": return "math.greatest"
        case "min": return "math.least"
        default:
            let full = "math." + name
            return names.contains(full) ? full : nil
        }
    }
}

extension CELType {
    /// The type of a value without looking into lists: what an overload is chosen by.
    init(kindOf value: Value) {
        switch value {
        case .list: self = .list(.dyn)
        default: self = CELType(of: value)
        }
    }
}

/// The name that is at most two edits away, nearest first; nil when none is.
public func nearest(_ name: String, _ names: [String]) -> String? {
    let wanted = Array(name.utf8)
    var best: (name: String, distance: Int)?
    for candidate in names.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
        let other = Array(candidate.utf8)
        guard abs(other.count - wanted.count) <= 2, wanted.count <= 64 else { continue }
        let distance = editDistance(wanted, other)
        // Where most letters are other ones, nothing was misspelt.
        guard distance * 2 <= max(wanted.count, other.count) else { continue }
        if distance <= min(2, max(1, wanted.count / 3)), distance < best?.distance ?? 3 { best = (candidate, distance) }
    }
    return best?.name
}

private func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var row = Array(0...b.count)
    for i in 0..<a.count {
        var diagonal = row[0]
        row[0] = i + 1
        for j in 0..<b.count {
            let substituted = diagonal + (a[i] == b[j] ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(substituted, row[j] + 1, row[j + 1] + 1)
        }
    }
    return row[b.count]
}
