extension Compiler {
    static let macroNames = [
        "has", "all", "exists", "exists_one", "map", "filter", "transformList", "transformMap", "transformMapEntry", "sortBy", "optMap",
        "optFlatMap", "or", "orValue", "cel.bind", "math.greatest", "math.least",
    ]

    /// Expands one of the language's macros; nil when the call is none.
    mutating func compileMacro(_ call: Expression.Call, _ node: Expression.Node) -> Compiled? {
        guard let receiver = call.receiver else {
            guard call.name == "has", call.arguments.count == 1 else { return nil }
            functionsUsed.insert("has")
            return compileHas(call.arguments[0], node)
        }
        let extensions = environment.extensions
        let compiled: Compiled?
        switch (call.name, call.arguments.count) {
        case ("all", 2), ("exists", 2), ("exists_one", 2), ("existsOne", 2), ("map", 2), ("map", 3), ("filter", 2):
            compiled = comprehension(call, receiver, variables: 1, node)
        case ("all", 3), ("exists", 3), ("exists_one", 3), ("existsOne", 3), ("transformList", 3...4), ("transformMap", 3...4),
            ("transformMapEntry", 3...4):
            guard extensions.contains(.twoVariableComprehensions) else { return nil }
            compiled = comprehension(call, receiver, variables: 2, node)
        case ("sortBy", 2) where extensions.contains(.lists):
            compiled = comprehension(call, receiver, variables: 1, node)
        case ("optMap", 2) where extensions.contains(.optionals), ("optFlatMap", 2) where extensions.contains(.optionals):
            compiled = optionalMap(call, receiver, node)
        case ("or", 1) where extensions.contains(.optionals), ("orValue", 1) where extensions.contains(.optionals):
            compiled = compileOptionalOr(call, receiver, node)
        case ("greatest", _) where extensions.contains(.math), ("least", _) where extensions.contains(.math):
            compiled = compileExtreme(call, node)
        case ("bind", 3) where extensions.contains(.bindings) && isNamespace(receiver, "cel"):
            compiled = binding(call, node)
        case ("block", 2) where extensions.contains(.block) && isNamespace(receiver, "cel"):
            compiled = block(call, node)
        case ("index", 1) where extensions.contains(.block) && isNamespace(receiver, "cel"):
            compiled = blockIndex(call, node)
        case ("iterVar", 2) where extensions.contains(.block) && isNamespace(receiver, "cel"):
            compiled = iterationVariable(call, node)
        default: compiled = nil
        }
        if compiled != nil { functionsUsed.insert(call.name) }
        return compiled
    }

    func isNamespace(_ node: Expression.Node, _ name: String) -> Bool {
        guard case .name(let found, _) = node.kind else { return false }
        return found == name && variable(name) == nil
    }

    // MARK: comprehensions

    /// The name of a comprehension's variable; reports anything but a simple identifier.
    private mutating func variableName(_ node: Expression.Node, _ macro: String) -> String? {
        if case .name(let name, isRooted: false) = node.kind { return name }
        if case .call(let call) = node.kind, call.name == "iterVar", let name = iterationName(call) { return name }
        report(node.span, "bad-macro", "'\(macro)' needs a simple name here")
        return nil
    }

    private mutating func comprehension(
        _ call: Expression.Call, _ receiver: Expression.Node, variables: Int, _ node: Expression.Node
    ) -> Compiled {
        let range = compile(receiver)
        guard let first = variableName(call.arguments[0], call.name) else { return fault(.badArgument, "bad macro", node.span) }
        var second: String?
        if variables == 2 {
            second = variableName(call.arguments[1], call.name)
            guard let second else { return fault(.badArgument, "bad macro", node.span) }
            if second.hasSameBytes(as: first) {
                report(call.arguments[1].span, "bad-macro", "the two variables of '\(call.name)' need different names")
                return fault(.badArgument, "bad macro", node.span)
            }
        }
        let types = variableTypes(range.type, variables: variables, receiver)
        let depth = scope.count
        var loop = Loop(first: bind(first, type: types.0), second: nil, weight: 1)
        if let second { loop.second = bind(second, type: types.1) }
        let before = weight
        let bodies = call.arguments[variables...].map { argument in (compile(argument), argument) }
        loop.weight = weight - before + 1
        scope.removeSubrange(depth...)
        if range.type == .list(.record) { checkUse(of: second ?? first, call, variables) }
        return assemble(call, range: range, loop: loop, bodies, elementType: types.0, node)
    }

    /// What is said in a comprehension over records says something of each of them, or it is a mistake.
    private mutating func checkUse(of name: String, _ call: Expression.Call, _ variables: Int) {
        let bodies = call.arguments[variables...]
        guard !bodies.contains(where: { Expression(source: source, root: $0).freeNames.contains(name) }), let body = bodies.last else {
            return
        }
        report(
            body.span, "unused-variable", "this is the same for every '\(name)', which it does not look at",
            hint: "a field of one is \(name).field", severity: .warning)
    }

    /// Types of the variables: element, or key; with two variables index and element, or key and value.
    private mutating func variableTypes(_ range: CELType, variables: Int, _ receiver: Expression.Node) -> (CELType, CELType) {
        switch range {
        case .dyn: return (.dyn, .dyn)
        case .list(let element): return variables == 1 ? (element, .dyn) : (.int, element)
        case .map(let key, let value): return (key, value)
        case .record: return (.string, .dyn)
        default:
            mismatch(receiver.span, "a comprehension goes over a list or a map, and this is \(range.withArticle)")
            return (.dyn, .dyn)
        }
    }

    private mutating func assemble(
        _ call: Expression.Call, range: Compiled, loop: Loop, _ bodies: [(Compiled, Expression.Node)], elementType: CELType,
        _ node: Expression.Node
    ) -> Compiled {
        let span = place(node.span)
        let source = range.operation
        let (last, lastNode) = bodies[bodies.count - 1]
        let filter = bodies.count == 2 ? bodies[0].0.operation : nil
        func needsBool(_ body: (Compiled, Expression.Node), _ compiler: inout Compiler) {
            guard let why = body.0.refusalAsBool else { return }
            compiler.mismatch(body.1.span, "'\(call.name)' needs a bool, and \(why)", hint: body.0.conditionHint)
        }
        if bodies.count == 2 { needsBool(bodies[0], &self) }
        switch call.name {
        case "all", "exists":
            needsBool((last, lastNode), &self)
            let operation = QuantifierOperation(isAll: call.name == "all", range: source, loop: loop, predicate: last.operation, span: span)
            return Compiled(operation: operation, type: .bool)
        case "exists_one", "existsOne":
            needsBool((last, lastNode), &self)
            return Compiled(
                operation: ExistsOneOperation(range: source, loop: loop, predicate: last.operation, span: span), type: .bool)
        case "filter":
            needsBool((last, lastNode), &self)
            let operation = TransformListOperation(
                "filter", range: source, loop: loop, filter: last.operation, transform: nil, span: span)
            return Compiled(operation: operation, type: .list(elementType))
        case "map", "transformList":
            let operation = TransformListOperation(
                call.name, range: source, loop: loop, filter: filter, transform: last.operation, span: span)
            return Compiled(operation: operation, type: .list(last.type))
        case "sortBy":
            let operation = SortByOperation(range: source, loop: loop, key: last.operation, span: span)
            return Compiled(operation: operation, type: range.type)
        case "transformMap":
            let operation = TransformMapOperation(
                call.name, range: source, loop: loop, filter: filter, transform: last.operation, isEntry: false, span: span)
            return Compiled(operation: operation, type: .map(elementType, last.type))
        default:
            if !last.type.mayBe(.map(.dyn, .dyn)) {
                mismatch(lastNode.span, "'transformMapEntry' needs a map, and this is \(last.type.withArticle)")
            }
            let operation = TransformMapOperation(
                call.name, range: source, loop: loop, filter: filter, transform: last.operation, isEntry: true, span: span)
            return Compiled(operation: operation, type: last.type)
        }
    }

    // MARK: bindings and optionals

    private mutating func binding(_ call: Expression.Call, _ node: Expression.Node) -> Compiled {
        guard let name = variableName(call.arguments[0], "cel.bind") else { return fault(.badArgument, "bad macro", node.span) }
        let initial = compile(call.arguments[1])
        let depth = scope.count
        let index = bind(name, type: initial.type, whyNoBool: initial.whyNoBool, isBound: true)
        let body = compile(call.arguments[2])
        scope.removeSubrange(depth...)
        let operation = BindOperation(index, initial: initial.operation, body: body.operation, span: place(node.span))
        return Compiled(operation: operation, type: body.type, whyNoBool: body.whyNoBool)
    }

    private mutating func optionalMap(_ call: Expression.Call, _ receiver: Expression.Node, _ node: Expression.Node) -> Compiled {
        let target = compile(receiver)
        if !target.type.mayBe(.optional(.dyn)) {
            mismatch(receiver.span, "'\(call.name)' needs an optional, and this is \(target.type.withArticle)")
        }
        guard let name = variableName(call.arguments[0], call.name) else { return fault(.badArgument, "bad macro", node.span) }
        let wrapped: CELType = if case .optional(let type) = target.type { type } else { .dyn }
        let depth = scope.count
        let index = bind(name, type: wrapped)
        let body = compile(call.arguments[1])
        scope.removeSubrange(depth...)
        let isFlat = call.name == "optFlatMap"
        let operation = OptionalMapOperation(
            index, target: target.operation, transform: body.operation, isFlat: isFlat, span: place(node.span))
        return Compiled(operation: operation, type: isFlat ? body.type : .optional(body.type))
    }

    // MARK: cel.block

    /// `cel.block([e0, e1, …], result)`: `cel.index(i)` reads the i-th, each computed at most once.
    private mutating func block(_ call: Expression.Call, _ node: Expression.Node) -> Compiled {
        guard case .list(let elements) = call.arguments[0].kind else {
            report(call.arguments[0].span, "bad-macro", "'cel.block' needs a list of expressions")
            return fault(.badArgument, "bad macro", node.span)
        }
        var bound: [(index: Int, initial: Compiled)] = []
        let depth = scope.count
        blockTypes.append([])
        for element in elements {
            let initial = compile(element.node)
            // A name that no source text can spell.
            let index = bind("@index\(bound.count)", type: initial.type, whyNoBool: initial.whyNoBool, isBound: true)
            blockTypes[blockTypes.count - 1].append(scope[scope.count - 1])
            bound.append((index, initial))
        }
        var body = compile(call.arguments[1])
        blockTypes.removeLast()
        scope.removeSubrange(depth...)
        for (index, initial) in bound.reversed() {
            let operation = BindOperation(index, initial: initial.operation, body: body.operation, span: place(node.span))
            body = Compiled(operation: operation, type: body.type, whyNoBool: body.whyNoBool)
        }
        return body
    }

    private mutating func blockIndex(_ call: Expression.Call, _ node: Expression.Node) -> Compiled {
        guard case .literal(.int(let position)) = call.arguments[0].kind, let variables = blockTypes.last, position >= 0,
            position < Int64(variables.count)
        else {
            report(node.span, "bad-macro", "'cel.index' needs the number of an expression of the block around it")
            return fault(.badArgument, "bad macro", node.span)
        }
        return read(variables[Int(position)], node.span)
    }

    private func iterationName(_ call: Expression.Call) -> String? {
        guard call.arguments.count == 2, case .literal(.int(let depth)) = call.arguments[0].kind,
            case .literal(.int(let number)) = call.arguments[1].kind
        else { return nil }
        return "@it:\(depth):\(number)"
    }

    private mutating func iterationVariable(_ call: Expression.Call, _ node: Expression.Node) -> Compiled {
        guard let name = iterationName(call), let variable = variable(name) else {
            report(node.span, "bad-macro", "'cel.iterVar' names no variable around it")
            return fault(.badArgument, "bad macro", node.span)
        }
        return read(variable, node.span)
    }
}
