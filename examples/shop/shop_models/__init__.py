"""The models of the shop, as production code imports them."""

from shop_models.normalizer import Normalizer as Normalizer
from shop_models.ranker import Prediction as Prediction
from shop_models.ranker import Ranker as Ranker
