extension Compiler {
    /// A chain of constant selections from a free identifier, outermost node last.
    private struct Path {
        var elements: [PathElement]
        /// `nodes[i]` is the node that ends with element `i`.
        var nodes: [Expression.Node]
        var isRooted: Bool
    }

    /// The path a node is, if it is one; `indexes` says whether `[0]` and `['k']` count as steps of it.
    private func path(of node: Expression.Node, indexes: Bool) -> Path? {
        switch node.kind {
        case .name(let name, let isRooted): return Path(elements: [.name(name)], nodes: [node], isRooted: isRooted)
        case .select(let operand, let field) where !field.isOptional:
            guard var path = path(of: operand, indexes: indexes) else { return nil }
            path.elements.append(.name(field.name))
            path.nodes.append(node)
            return path
        case .index(let operand, let key, isOptional: false) where indexes:
            guard case .literal(let value) = key.kind, var path = path(of: operand, indexes: indexes) else { return nil }
            switch value {
            case .int(let index):
                guard index >= 0, let index = Int(exactly: index) else { return nil }
                path.elements.append(.index(index))
            case .string(let name): path.elements.append(.name(name))
            default: return nil
            }
            path.nodes.append(node)
            return path
        default: return nil
        }
    }

    /// A call and the constant selections that follow it, innermost first.
    private typealias CallChain = (
        call: Expression.Call, node: Expression.Node, selections: [(element: PathElement, node: Expression.Node)]
    )

    /// The chain that a node is, if it begins with a call of a function by its name alone.
    private func callChain(of node: Expression.Node) -> CallChain? {
        guard isPromoting else { return nil }
        switch node.kind {
        case .call(let call): return call.receiver == nil ? (call, node, []) : nil
        case .select(let operand, let field) where !field.isOptional:
            guard var chain = callChain(of: operand) else { return nil }
            chain.selections.append((.name(field.name), node))
            return chain
        case .index(let operand, let key, isOptional: false):
            guard case .literal(let value) = key.kind, var chain = callChain(of: operand) else { return nil }
            switch value {
            case .int(let index):
                guard let index = Int(exactly: index), index >= 0 else { return nil }
                chain.selections.append((.index(index), node))
            case .string(let name): chain.selections.append((.name(name), node))
            default: return nil
            }
            return chain
        default: return nil
        }
    }

    mutating func compilePath(_ node: Expression.Node) -> Compiled {
        if let path = path(of: node, indexes: isPromoting), case .name(let root) = path.elements[0] {
            if !path.isRooted, let variable = variable(root) {
                return select(from: read(variable, path.nodes[0].span), path.nodes[1...])
            }
            return resolve(path)
        }
        if let chain = callChain(of: node), let answered = hostCall(chain.call, chain.node, selections: chain.selections) {
            return select(from: answered.compiled, chain.selections.dropFirst(answered.consumed).map(\.node)[...])
        }
        switch node.kind {
        case .select(let operand, _), .index(let operand, _, _): return select(from: compile(operand), [node][...])
        default: return fault(.unknownName, "not a name", node.span)
        }
    }

    /// Applies selections and indexes, innermost first.
    private mutating func select(from start: Compiled, _ nodes: ArraySlice<Expression.Node>) -> Compiled {
        var result = start
        for node in nodes {
            switch node.kind {
            case .select(_, let field): result = selectField(result, field, node)
            case .index(_, let key, let isOptional): result = index(result, compile(key), isOptional: isOptional, node)
            default: break
            }
        }
        return result
    }

    private mutating func selectField(_ operand: Compiled, _ field: Expression.Field, _ node: Expression.Node) -> Compiled {
        var type = CELType.dyn
        note(field.name, of: operand, field.span)
        switch operand.type {
        case .dyn, .record: break
        case .map(let key, let value):
            if key.mayBe(.string) { type = value } else { mismatch(node.span, "\(operand.type.withArticle) has no field '\(field.name)'") }
        case .optional(let wrapped):
            if case .map(_, let value) = wrapped { type = .optional(value) } else { type = .optional(.dyn) }
        case .list(.record): mismatch(node.span, "a list has no fields", hint: "its elements have: map(m, m.\(field.name))")
        default: mismatch(node.span, "\(operand.type.withArticle) has no fields")
        }
        guard field.isOptional else {
            let isOfRecord = operand.type == .record
            let operation = SelectOperation(operand.operation, field: field.name, isOfRecord: isOfRecord, span: place(node.span))
            return Compiled(operation: operation, type: type)
        }
        if case .optional = type {} else { type = .optional(type) }
        let key = ConstantOperation(.string(field.name), strings: strings, span: place(field.span))
        let operation = OptionalSelectOperation(operand.operation, key: key, isField: true, span: place(node.span))
        return Compiled(operation: operation, type: type)
    }

    /// Tells the host of a field that is selected from a record. What lost its type on the way may be one, too, unless it comes out of a record itself.
    private mutating func note(_ field: String, of operand: Compiled, _ span: Span) {
        let isOfRecord = operand.type == .record || operand.type == .optional(.record)
        guard isOfRecord || operand.type == .dyn && !operand.operation.isInRecord else { return }
        if let found = names.select(field, isOfRecord: isOfRecord, span: place(span)) { diagnostics.append(found) }
    }

    /// A record's field by a key in brackets, which has to be a name that is written there.
    private mutating func noteKey(_ key: Compiled, of operand: Compiled, _ node: Expression.Node) {
        guard case .index(_, let keyNode, _) = node.kind else { return }
        if case .string(let name)? = key.constant { return note(name, of: operand, keyNode.span) }
        guard operand.type == .record || operand.type == .optional(.record) else { return }
        report(keyNode.span, "computed-field", "which field of a record is meant must be written there: r['name']")
    }

    private mutating func index(_ operand: Compiled, _ key: Compiled, isOptional: Bool, _ node: Expression.Node) -> Compiled {
        var type = CELType.dyn
        noteKey(key, of: operand, node)
        switch operand.type {
        case .dyn, .record: break
        case .list(let element):
            type = element
            if key.type != .dyn, !key.type.isNumber {
                mismatch(node.span, "a list's index is a whole number, and this is \(key.type.withArticle)")
            }
        case .map(_, let value): type = value
        case .optional(.map(_, let value)): type = .optional(value)
        case .optional(.list(let element)): type = .optional(element)
        case .optional: type = .optional(.dyn)
        default: mismatch(node.span, "\(operand.type.withArticle) has no elements")
        }
        if !isOptional, operand.type == .record, case .string(let name)? = key.constant {
            return Compiled(
                operation: SelectOperation(operand.operation, field: name, isOfRecord: true, span: place(node.span)), type: type)
        }
        guard isOptional else {
            return Compiled(operation: IndexOperation(operand.operation, key.operation, span: place(node.span)), type: type)
        }
        if case .optional = type {} else { type = .optional(type) }
        let operation = OptionalSelectOperation(operand.operation, key: key.operation, isField: false, span: place(node.span))
        return Compiled(operation: operation, type: type)
    }

    // MARK: the host's names

    /// Asks the host for the longest name, container by container, then the language for names of types.
    private mutating func resolve(_ path: Path) -> Compiled {
        let span = path.nodes[path.nodes.count - 1].span
        var unknown: (nearest: String?, known: [String]) = (nil, [])
        for prefix in prefixes(isRooted: path.isRooted) {
            let resolution = names.resolve(prefix.map { .name($0) } + path.elements, span: span)
            answers.names.append(resolution)
            if case .unknown(let nearest, let known) = resolution {
                unknown = (nearest, known)
                continue
            }
            if let resolved = apply(resolution, path, prefixed: prefix.count) { return resolved }
        }
        if let type = typeName(path) { return type }
        return unknownName(path, unknown)
    }

    private func prefixes(isRooted: Bool) -> [[String]] {
        guard !isRooted, !environment.container.isEmpty else { return [[]] }
        let parts = environment.container.unicodeScalars.split(separator: ".").map { String($0) }
        return (0...parts.count).reversed().map { Array(parts.prefix($0)) }
    }

    private mutating func apply(_ resolution: NameResolution, _ path: Path, prefixed: Int) -> Compiled? {
        let start: Compiled
        let consumed: Int
        switch resolution {
        case .slot(let index, let type, let count):
            consumed = count - prefixed
            guard (1...path.nodes.count).contains(consumed) else { return nil }
            let named = path.nodes[consumed - 1]
            slotsUsed.insert(index)
            start = Compiled(operation: SlotOperation(index, name: name(path, consumed), span: place(named.span)), type: type)
        case .constant(let value, let count):
            consumed = count - prefixed
            guard (1...path.nodes.count).contains(consumed) else { return nil }
            start = constant(value, path.nodes[consumed - 1].span)
        case .expression(let expression):
            consumed = 1
            start = inline(expression, at: path.nodes[0].span)
        case .refused(let code, let message, let hint):
            report(path.nodes[0].span, code, message, hint: hint)
            return fault(.unknownName, message, path.nodes[0].span)
        case .unknown: return nil
        }
        return select(from: start, path.nodes[consumed...])
    }

    private func name(_ path: Path, _ count: Int) -> String {
        var text = ""
        for element in path.elements.prefix(count) {
            switch element {
            case .name(let name): text += (text.isEmpty ? "" : ".") + name
            case .index(let index): text += "[\(index)]"
            }
        }
        return text
    }

    /// `int`, `google.protobuf.Timestamp`, … as values.
    private mutating func typeName(_ path: Path) -> Compiled? {
        for count in (1...path.nodes.count).reversed() {
            let text = name(path, count)
            var type = CELTypeName.standard[text]
            if type == nil, environment.extensions.contains(.optionals), text == CELTypeName.optional.name { type = .optional }
            if type == nil, environment.extensions.contains(.network), text == "net.IP" || text == "net.CIDR" { type = CELTypeName(text) }
            if let type { return select(from: constant(.type(type), path.nodes[count - 1].span), path.nodes[count...]) }
        }
        return nil
    }

    private mutating func unknownName(_ path: Path, _ unknown: (nearest: String?, known: [String])) -> Compiled {
        let full = name(path, path.nodes.count)
        let first = path.nodes[0].span
        if environment.unknownNames == .error {
            let known = unknown.known.prefix(20).joined(separator: ", ")
            let notes = known.isEmpty ? [] : [CELDiagnostic.Note(span: first, text: "known names: \(known)")]
            let span =
                path.nodes.count > 1 && unknown.nearest?.utf8.contains(UInt8(ascii: ".")) == true
                ? path.nodes[path.nodes.count - 1].span : first
            report(
                span, "unknown-name", "unknown name '\(name(path, span == first ? 1 : path.nodes.count))'",
                hint: (unknown.nearest ?? nearest(name(path, 1), unknown.known)).map { "did you mean '\($0)'?" }, notes: notes)
        }
        return fault(.unknownName, "unknown name '\(full)'", path.nodes[path.nodes.count - 1].span)
    }

    // MARK: has()

    /// `has(e.f)`: a presence test of a variable where the host has one by that whole name, else of a key.
    mutating func compileHas(_ argument: Expression.Node, _ node: Expression.Node) -> Compiled {
        if let path = path(of: argument, indexes: isPromoting), case .name(let root) = path.elements[0],
            path.isRooted || variable(root) == nil
        {
            if let test = presence(path, node) { return test }
        }
        if let chain = callChain(of: argument), !chain.selections.isEmpty,
            let answered = hostCall(chain.call, chain.node, selections: chain.selections)
        {
            return presence(of: answered, chain, node)
        }
        guard case .select(let operand, let field) = argument.kind, !field.isOptional else {
            let hint = isPromoting ? "write has(a.b) or has(name)" : "write has(a.b)"
            report(argument.span, "bad-macro", "'has' takes a field selection", hint: hint)
            return fault(.badArgument, "'has' takes a field selection", node.span)
        }
        let compiled = compile(operand)
        note(field.name, of: compiled, field.span)
        return Compiled(operation: HasOperation(compiled.operation, field: field.name, span: place(node.span)), type: .bool)
    }

    private mutating func presence(
        of answered: (compiled: Compiled, consumed: Int), _ chain: CallChain, _ node: Expression.Node
    ) -> Compiled {
        guard answered.consumed < chain.selections.count else {
            guard let slot = answered.compiled.operation as? SlotOperation else { return answered.compiled }
            return Compiled(operation: HasSlotOperation(slot.index, span: place(node.span)), type: .bool)
        }
        let last = chain.selections[chain.selections.count - 1]
        guard case .name(let field) = last.element, case .select = last.node.kind else {
            report(last.node.span, "bad-macro", "'has' takes a field selection", hint: "write has(a.b) or has(name)")
            return fault(.badArgument, "'has' takes a field selection", node.span)
        }
        let between = chain.selections.dropFirst(answered.consumed).dropLast().map(\.node)
        let operand = select(from: answered.compiled, between[...])
        note(field, of: operand, last.node.span)
        return Compiled(operation: HasOperation(operand.operation, field: field, span: place(node.span)), type: .bool)
    }

    private mutating func presence(_ path: Path, _ node: Expression.Node) -> Compiled? {
        if path.nodes.count == 1, !isPromoting { return nil }
        for prefix in prefixes(isRooted: path.isRooted) {
            let resolution = names.resolve(prefix.map { .name($0) } + path.elements, span: path.nodes[path.nodes.count - 1].span)
            answers.names.append(resolution)
            switch resolution {
            case .slot(let index, _, let consumed):
                guard consumed == prefix.count + path.nodes.count else { return nil }
                slotsUsed.insert(index)
                return Compiled(operation: HasSlotOperation(index, span: place(node.span)), type: .bool)
            case .constant(_, let consumed) where consumed == prefix.count + path.nodes.count:
                return constant(.bool(true), node.span)
            case .unknown: continue
            default: return nil
            }
        }
        guard isPromoting, path.nodes.count == 1 else { return nil }
        if environment.unknownNames == .runtime { return constant(.bool(false), node.span) }
        return resolve(path)
    }
}
