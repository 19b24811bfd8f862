import CCurl
import RuleEngine

/// One request on a libcurl easy handle; frees what it holds when it goes.
final class HTTPTransfer {
    struct Refusal: Error {
        var answer: HTTPAnswer
    }

    let call: HTTPQueue.Waiting
    let easy: UnsafeMutableRawPointer
    private let origin: String
    private var headers: UnsafeMutablePointer<curl_slist>?
    /// libcurl does not copy what it posts.
    private let body: UnsafeMutableBufferPointer<UInt8>
    /// Where libcurl writes what exactly went wrong.
    private let detail = UnsafeMutableBufferPointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))

    static func make(_ call: HTTPQueue.Waiting) -> Result<HTTPTransfer, Refusal> {
        do throws(Refusal) { return .success(try HTTPTransfer(call)) } catch { return .failure(error) }
    }

    private init(_ call: HTTPQueue.Waiting) throws(Refusal) {
        func unread(_ secret: Secret) -> Refusal {
            Refusal(answer: .noResponse(reason: "\(secret) cannot be read", mayHaveArrived: false))
        }
        let request = call.request
        guard let text = request.url.read() else { throw unread(request.url) }
        guard let url = RequestURL(text) else {
            throw Refusal(answer: .refused(reason: "the URL must be http:// or https:// with a host"))
        }
        var lines = request.headers.map { "\($0.0): \($0.1)" }
        var login: (user: String, password: String)?
        switch request.configuration.authorization {
        case nil: break
        case .basic(let user, let secret):
            guard let password = secret.read() else { throw unread(secret) }
            login = (user, password)
        case .credentials(let scheme, let secret):
            guard let credentials = secret.read() else { throw unread(secret) }
            lines.append("Authorization: \(scheme) \(credentials)")
        }
        let texts = lines + [login?.user ?? "", login?.password ?? ""]
        guard !texts.contains(where: { $0.utf8.contains { $0 < 32 || $0 == 127 } }) else {
            throw Refusal(answer: .refused(reason: "a header or a password has a control character in it"))
        }
        guard let easy = curl_easy_init() else { throw Refusal(answer: .noResponse(reason: "out of memory", mayHaveArrived: false)) }
        self.call = call
        self.easy = easy
        origin = url.origin
        body = .allocate(capacity: max(1, request.body.count))
        _ = body.initialize(from: request.body)
        detail.initialize(repeating: 0)
        _ = shim_curl_setopt_ptr(easy, CURLOPT_ERRORBUFFER, UnsafeMutableRawPointer(detail.baseAddress))
        // An empty `Expect` keeps libcurl from waiting for "100 Continue" before larger bodies.
        for line in lines + ["Expect:"] { headers = curl_slist_append(headers, line) }
        set(url.text, request, login: login)
    }

    private func set(_ url: String, _ request: HTTPRequest, login: (user: String, password: String)?) {
        _ = shim_curl_setopt_str(easy, CURLOPT_URL, url)
        _ = shim_curl_setopt_str(easy, CURLOPT_PROTOCOLS_STR, "http,https")
        _ = shim_curl_setopt_long(easy, CURLOPT_NOSIGNAL, 1)
        // Names are looked up on threads of libcurl's; a transfer whose time is up leaves its one behind, or all others would wait for the name server.
        _ = shim_curl_setopt_long(easy, CURLOPT_QUICK_EXIT, 1)
        _ = shim_curl_setopt_long(easy, CURLOPT_TCP_NODELAY, 1)
        _ = shim_curl_setopt_long(easy, CURLOPT_FOLLOWLOCATION, 0)
        let milliseconds = min(max(1, request.timeout.inNanoseconds / 1_000_000), 3_600_000)
        _ = shim_curl_setopt_long(easy, CURLOPT_TIMEOUT_MS, Int(milliseconds))
        _ = shim_curl_setopt_str(easy, CURLOPT_USERAGENT, "nodesphere")
        _ = shim_curl_setopt_slist(easy, CURLOPT_HTTPHEADER, headers)
        if request.method != .get {
            _ = shim_curl_setopt_long(easy, CURLOPT_POST, 1)
            if case .other(let name) = request.method { _ = shim_curl_setopt_str(easy, CURLOPT_CUSTOMREQUEST, name) }
            _ = shim_curl_setopt_off(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(request.body.count))
            _ = shim_curl_setopt_ptr(easy, CURLOPT_POSTFIELDS, UnsafeMutableRawPointer(body.baseAddress))
        }
        setContent(request)
        if let file = request.configuration.caFile { _ = shim_curl_setopt_str(easy, CURLOPT_CAINFO, file) }
        if let login {
            _ = shim_curl_setopt_str(easy, CURLOPT_USERNAME, login.user)
            _ = shim_curl_setopt_str(easy, CURLOPT_PASSWORD, login.password)
        }
    }

    private func setContent(_ request: HTTPRequest) {
        guard request.content != nil else {
            // Without a function libcurl would print what comes.
            _ = shim_curl_setopt_rw(easy, CURLOPT_WRITEFUNCTION) { _, size, count, _ in size * count }
            return
        }
        // Unretained: libcurl calls it only while the transfer is on the loop, which holds this object.
        _ = shim_curl_setopt_ptr(easy, CURLOPT_WRITEDATA, Unmanaged.passUnretained(self).toOpaque())
        _ = shim_curl_setopt_rw(easy, CURLOPT_WRITEFUNCTION) { bytes, size, count, transfer in
            guard let transfer else { return 0 }
            let own = Unmanaged<HTTPTransfer>.fromOpaque(transfer).takeUnretainedValue()
            let isWanted = own.call.request.content?.take(UnsafeRawBufferPointer(start: bytes, count: size * count)) ?? true
            return isWanted ? size * count : 0
        }
        _ = shim_curl_setopt_ptr(easy, CURLOPT_HEADERDATA, Unmanaged.passUnretained(self).toOpaque())
        _ = shim_curl_setopt_rw(easy, CURLOPT_HEADERFUNCTION) { bytes, size, count, transfer in
            guard let transfer else { return 0 }
            let own = Unmanaged<HTTPTransfer>.fromOpaque(transfer).takeUnretainedValue()
            own.call.request.content?.takeHeader(UnsafeRawBufferPointer(start: bytes, count: size * count))
            return size * count
        }
    }

    deinit {
        curl_easy_cleanup(easy)
        curl_slist_free_all(headers)
        body.deallocate()
        detail.deallocate()
    }

    func answer(_ code: CURLcode) -> HTTPAnswer {
        var status = 0
        _ = shim_curl_getinfo_long(easy, CURLINFO_RESPONSE_CODE, &status)
        if code == CURLE_OK {
            var seconds = 0
            _ = shim_curl_getinfo_long(easy, CURLINFO_RETRY_AFTER, &seconds)
            return .response(status: status, retryAfter: seconds > 0 ? .seconds(min(seconds, 86_400)) : nil)
        }
        let reason = "\(origin): \(reason(of: code))"
        if code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT { return .refused(reason: reason) }
        var sent = 0
        _ = shim_curl_getinfo_long(easy, CURLINFO_REQUEST_SIZE, &sent)
        return .noResponse(reason: reason, mayHaveArrived: sent > 0)
    }

    /// libcurl's details may hold parts of the URL, which may be secret; those of certificates, and only they say what is wrong with one, hold a host's name at most.
    private func reason(of code: CURLcode) -> String {
        let general = String(cString: curl_easy_strerror(code))
        guard code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR || code == CURLE_SSL_CACERT_BADFILE else {
            return general
        }
        // libcurl ends it with a zero, and never writes beyond the last place.
        let said = String(decoding: detail.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return said.isEmpty ? general : said
    }
}
