"""What is said where no language model is configured, in English and Chinese."""

SETUP = {
    "en": "No language model is configured, so I can only search the uploaded documents and quote them. To get real "
    "answers, set LLM_API_KEY (the key), LLM_API_URL (the address) and LLM_MODEL (the model). "
    "Without one, upload a document and ask about what it says.",
    "zh": "尚未配置语言模型，因此我只能检索已上传的文档并引用原文。要获得真正的回答，"
    "请设置 LLM_API_KEY（密钥）、LLM_API_URL（接口地址）和 LLM_MODEL（模型名称）。"
    "在此之前，您可以上传文档并就其内容提问。",
}
FOUND = {
    "en": "No language model is configured; these are the passages of the documents that fit the question best:",
    "zh": "尚未配置语言模型，以下是文档中与问题最相关的原文：",
}
DESCRIBED = {
    "en": "No language model is configured; these are summaries that were made of the documents:",
    "zh": "尚未配置语言模型，以下是读取文档时生成的概要：",
}
SHOWN = {
    "en": "No language model is configured; this is what stands on these pages:",
    "zh": "尚未配置语言模型，以下是这些页上的原文：",
}
NOT_FOUND = {
    "en": "The documents do not say. (No language model is configured; I can only search the documents and quote them.)",
    "zh": "文档中没有找到相关内容。（尚未配置语言模型，我只能检索文档并引用原文。）",
}
NOTHING_HERE = {"en": "The documents do not say.", "zh": "文档中没有找到相关内容。"}
LISTED = {"en": "These documents are searched:", "zh": "可以检索的文档："}
UNREADY = {"en": "Not all documents can be searched:", "zh": "以下文档还不能检索："}
GREETING = {"en": "Hello!", "zh": "您好！"}
THANKS = {"en": "You are welcome!", "zh": "不客气！"}
TALK = {"greeting": GREETING, "thanks": THANKS}
HELP = {
    "en": "No language model is configured, so I can only search the documents and quote them. Ask what they "
    "say, or for a summary of a document, for its pages 3 to 5, for a comparison of two documents, or which ones there are.",
    "zh": "尚未配置语言模型，我只能检索文档并引用原文。您可以询问文档的内容，也可以让我总结某份文档、查看第 3 到 5 页、"
    "比较两份文档，或列出有哪些文档。",
}
WAITING = {
    "en": "No language model is configured. As soon as a document has been read, I can search it and quote it.",
    "zh": "尚未配置语言模型。文档读取完成后，我可以检索文档并引用原文。",
}
FAILED = {"en": "The search in the documents failed: {}", "zh": "文档检索失败：{}"}
PICTURE_TEXT = {"en": "Text in the picture {}:", "zh": "图片 {} 中的文字："}
PICTURE_NO_TEXT = {"en": "No text could be read in the picture {}.", "zh": "图片 {} 中没有可识别的文字。"}
PICTURE_SEEN = {"en": "Description of the picture {}:", "zh": "图片 {} 的描述："}
NO_VISION = {
    "en": "No vision model is set (VISION_MODEL), so I cannot tell what else the picture shows.",
    "zh": "未设置视觉模型（VISION_MODEL），因此无法得知图片中的其他内容。",
}
