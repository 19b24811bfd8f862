-- https://gotify.net/api-docs#/message/createMessage

local max_alerts, max_characters = 20, 10000

local function priority(notification)
  if notification.status ~= "firing" then return 2 end
  return text.severity(notification) == "critical" and 8 or 5
end

local function extras(notification)
  local extras = { ["client::display"] = { contentType = "text/plain" } }
  local runbook = (notification.commonAnnotations or {}).runbook_url
  if runbook then extras["client::notification"] = { click = { url = runbook } } end
  return extras
end

plugin {
  channels = {
    gotify = function(notification, config)
      return channel.outcome(http.post(string.gsub(config.url, "/+$", "") .. "/message", {
        headers = { ["Content-Type"] = "application/json", ["X-Gotify-Key"] = config.token },
        body = json.encode({
          title = text.truncate(config.title or text.title(notification), 250),
          message = text.truncate(config.message or text.lines(notification, max_alerts), max_characters),
          priority = config.priority or priority(notification),
          extras = extras(notification),
        }),
      }))
    end,
  },
}
